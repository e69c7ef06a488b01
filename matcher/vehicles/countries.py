"""Region and country of a VIN's first two characters, after ISO 3780. Pure.

Countries are ISO 3166-1 alpha-2 codes, so that each app names them in its own language; codes of states that
are gone name their successor. Must not be read as the car's market: the identifier is the maker's.
"""

from functools import cache

# The order of characters in ISO 3780: letters without I, O and Q, then 1 to 9, then 0.
_ORDER = "ABCDEFGHJKLMNPRSTUVWXYZ1234567890"

_REGIONS = {
    "africa": "ABCDEFG",
    "asia": "HJKLMNPR",
    "europe": "STUVWXYZ",
    "north_america": "123457",
    "oceania": "6",
    "south_america": "890",
}

# First character, then ranges of the second.
_COUNTRIES = {
    "A": "A-H ZA, J-K CI, L-M LS, N-P BW, R-S NA, T-U MG, V-W MU, X-Y TN, Z-1 CY, 2-3 ZW, 4-5 MZ",
    "B": "A-B AO, F-G KE, L-L NG, R-R DZ, 3-4 LY",
    "C": "A-B EG, F-G MA, L-M ZM",
    "D": "A-E EG, F-K MA, L-R ZM",
    "H": "A-0 CN",
    "J": "A-0 JP",
    "K": "F-H IL, L-R KR, S-T JO",
    "L": "A-0 CN",
    "M": "A-E IN, F-K ID, L-R TH, S-S MM, U-U MN, X-X KZ, 1-6 IN",
    "N": "A-E IR, F-G PK, J-J IQ, L-R TR, S-T UZ, U-U AZ, Y-Y AM, 1-5 IR",
    "P": "A-C PH, F-G SG, L-R MY, S-T BD",
    "R": "A-B AE, F-K TW, L-N VN, P-P LA, S-T SA, U-W RU, 1-1 HK",
    "S": "A-M GB, N-T DE, U-Z PL, 1-2 LV",
    "T": "A-H CH, J-P CZ, R-V HU, W-2 PT, 3-5 RS, 6-6 AD",
    "U": "A-C ES, H-M DK, N-R IE, U-W RO, 1-2 MK, 5-7 SK, 8-0 BA",
    "V": "A-E AT, F-R FR, S-W ES, X-2 RS, 3-5 HR, 6-8 EE",
    "W": "A-0 DE",
    "X": "A-C BG, D-E RU, F-H GR, J-K RU, L-R NL, S-W RU, X-Y LU, Z-0 RU",
    "Y": "A-E BE, F-K FI, N-N MT, S-W SE, X-2 NO, 3-5 BY, 6-8 UA",
    "Z": "A-U IT, X-Z SI, 1-1 SM, 3-5 LT, 6-0 RU",
    "1": "A-0 US",
    "2": "A-5 CA",
    "3": "A-X MX, 5-5 DO, 6-6 HN, 7-7 PA, 8-9 PR",
    "4": "A-0 US",
    "5": "A-0 US",
    "6": "A-X AU, Y-1 NZ",
    # 7A to 7E belonged to New Zealand before the United States were given the rest.
    "7": "A-E NZ, F-0 US",
    "8": "A-E AR, F-G CL, L-N EC, S-T PE, X-Z VE, 2-2 BO",
    "9": "A-E BR, F-G CO, S-V UY, 2-9 BR",
}


@cache
def _countries() -> dict[str, str]:
    countries: dict[str, str] = {}
    for first, ranges in _COUNTRIES.items():
        for entry in ranges.split(", "):
            span, country = entry.split(" ")
            start, end = span.split("-")
            for second in _ORDER[_ORDER.index(start) : _ORDER.index(end) + 1]:
                countries[first + second] = country
    return countries


def find_country(vin: str) -> str | None:
    """The alpha-2 code of the country of the maker's identifier; None when the code is not assigned."""
    return _countries().get(vin[:2])


def get_region(vin: str) -> str:
    """`africa`, `asia`, `europe`, `north_america`, `oceania` or `south_america`. `vin` starts with a VIN character."""
    if find_country(vin) == "NZ":
        return "oceania"
    return next(region for region, firsts in _REGIONS.items() if vin[0] in firsts)
