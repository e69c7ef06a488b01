"""Plausible makes for imported shops whose makes nobody knows. Pure and deterministic.

The same seed and shop give the same makes everywhere. Weights are the rough standing of makes on each region's
roads; they are our estimate, meant for demonstrations and tests, and shops that carry them are marked
(`makes_generated`) until an owner names the true ones.
"""

import random

_NORTH_AMERICA = (
    "toyota 15 ford 14 chevrolet 12 honda 11 nissan 8 jeep 6 hyundai 6 kia 5 ram 5 gmc 4 subaru 4 dodge 4"
    " volkswagen 3 bmw 3 mercedes-benz 3 mazda 2 chrysler 2 lexus 2 audi 2 buick 2 cadillac 1 acura 1 tesla 1"
)
_EUROPE = (
    "volkswagen 14 renault 9 ford 9 opel 8 peugeot 8 toyota 7 bmw 7 mercedes-benz 7 skoda 6 audi 6 fiat 6"
    " citroen 5 hyundai 4 dacia 4 kia 4 nissan 3 seat 3 volvo 3 mazda 2 suzuki 2 honda 2 mini 1 tesla 1"
)
_MIDDLE_EAST = (
    "toyota 16 hyundai 12 nissan 10 kia 8 chevrolet 7 renault 6 mitsubishi 5 peugeot 5 mercedes-benz 5 bmw 4"
    " fiat 4 volkswagen 4 chery 4 mg 4 skoda 3 opel 3 honda 3 suzuki 3 geely 2 byd 2 lada 2 daewoo 2 dacia 2"
)
_AFRICA = (
    "toyota 24 nissan 9 mercedes-benz 8 hyundai 7 peugeot 7 renault 6 mitsubishi 6 honda 6 ford 5 volkswagen 5"
    " kia 4 suzuki 4 isuzu 4 mazda 4 bmw 3 land-rover 3 subaru 2 opel 2 chevrolet 2"
)
_REST = (
    "toyota 18 honda 9 hyundai 8 volkswagen 8 suzuki 7 nissan 7 ford 6 chevrolet 6 kia 5 mitsubishi 4 mazda 4"
    " mercedes-benz 4 bmw 4 renault 3 fiat 3 byd 3 geely 2 chery 2 audi 2 peugeot 2 isuzu 2"
)
_MOTORCYCLES = (
    "honda 10 yamaha 9 suzuki 6 kawasaki 5 bmw 4 ktm 3 ducati 3 triumph 2 piaggio 2 harley-davidson 2 bajaj 2"
    " tvs 2 hero 1 kymco 1 vespa 1 aprilia 1 royal-enfield 1"
)

_COUNTRIES = {
    _NORTH_AMERICA: "US CA PR",
    _MIDDLE_EAST: "AE BH DZ EG IQ IR JO KW LB LY MA OM PS QA SA SD SY TN TR YE",
    _EUROPE: (
        "AD AL AT BA BE BG BY CH CY CZ DE DK EE ES FI FR GB GE GI GR HR HU IE IM IS IT LI LT LU LV MC MD ME MK MT"
        " NL NO PL PT RO RS SE SI SK SM UA XK"
    ),
    _AFRICA: (
        "AO BF BI BJ BW CD CF CG CI CM CV DJ ER ET GA GH GM GN GQ GW KE KM LR LS MG ML MR MU MW MZ NA NE NG RW SC SL"
        " SN SO SS ST SZ TD TG TZ UG ZA ZM ZW"
    ),
}

# Fewest and most makes of a shop of each kind.
_COUNTS = {"car_parts": (3, 7), "car_dealer": (1, 2), "motorcycle_dealer": (1, 2)}
_OTHER_COUNTS = (3, 6)


def _weights(text: str) -> tuple[tuple[str, int], ...]:
    words = text.split()
    return tuple((make, int(weight)) for make, weight in zip(words[::2], words[1::2], strict=True))


_BY_COUNTRY = {
    country: _weights(market) for market, countries in _COUNTRIES.items() for country in countries.split()
}
_EVERYWHERE_ELSE = _weights(_REST)
_TWO_WHEELS = _weights(_MOTORCYCLES)


def generate_makes(seed: int, shop: str, country: str | None, kind: str) -> tuple[str, ...]:
    """Slugs for a shop (`shop` identifies it), sorted. More usual makes of its market are more probable."""
    market = (
        _TWO_WHEELS if kind.startswith("motorcycle") else _BY_COUNTRY.get(country or "", _EVERYWHERE_ELSE)
    )
    # Not for secrets: the sequence must be the same on every machine.
    chance = random.Random(f"{seed}:{shop}")  # noqa: S311
    count = chance.randint(*_COUNTS.get(kind, _OTHER_COUNTS))
    # A weighted draw without replacement: the greatest u^(1/w) (Efraimidis and Spirakis, 2006).
    drawn = sorted(market, key=lambda entry: chance.random() ** (1 / entry[1]), reverse=True)[:count]
    return tuple(sorted(make for make, _ in drawn))
