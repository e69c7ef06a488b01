"""Makes that share manufacturer identifiers, so that a VIN of one may be a car of another. Pure.

Rebadging is older than any table of it. The relations are wide on purpose: refusing a real car costs a
customer, letting an odd pair through costs nothing but a hint. They are not transitive: Opel was General
Motors' and is Stellantis', yet a Chevrolet is no Peugeot.
"""

from functools import cache

# Brands of one maker: any may carry the identifier of any other.
_FAMILIES = (
    "chevrolet gmc cadillac buick pontiac oldsmobile saturn hummer geo opel vauxhall holden daewoo ravon saab"
    " brightdrop wuling baojun",
    "chrysler dodge jeep ram plymouth eagle srt amc fiat abarth alfa-romeo lancia maserati peugeot citroen ds"
    " talbot opel vauxhall leapmotor tofas",
    "ford lincoln mercury merkur shelby",
    "volkswagen audi skoda seat cupra porsche bentley lamborghini bugatti scout man",
    "bentley rolls-royce",
    "toyota lexus scion daihatsu perodua hino",
    "renault nissan infiniti datsun dacia alpine mitsubishi lada venucia",
    "honda acura",
    "hyundai kia genesis",
    "bmw mini rolls-royce alpina",
    "mercedes-benz smart maybach freightliner western-star setra",
    "jaguar land-rover",
    "rover land-rover mg mini austin morris triumph sterling",
    "volvo polestar geely lynk-co zeekr lotus smart livan",
    "chery exeed omoda jaecoo jetour speranza karry kaiyi icar",
    "mg roewe maxus ldv wuling im",
    "great-wall haval wey tank ora",
    "byd denza yangwang",
    "dongfeng dfsk forthing voyah seres aito",
    "faw hongqi bestune haima",
    "changan deepal avatr",
    "gac aion",
    "baic arcfox",
    "kenworth peterbilt daf",
    "piaggio vespa aprilia",
)

# A maker, and those with whom it built cars or whose cars it built: joint vans, licences, rebadged imports.
_PARTNERS = {
    "brilliance": "bmw",
    "fiat": "iveco zastava",
    "hummer": "am-general",
    "hyundai": "dodge",
    "iran-khodro": "peugeot renault dacia suzuki haima dongfeng",
    "isuzu": "chevrolet gmc opel vauxhall holden mazda honda acura",
    "lada": "chevrolet zaz",
    "mahindra": "ssangyong renault",
    "mazda": "ford mercury",
    "mercedes-benz": "dodge chrysler renault ssangyong",
    "mitsubishi": "chrysler dodge plymouth eagle ram fiat peugeot citroen hyundai mitsubishi-fuso proton soueast",
    "nio": "jac",
    "proton": "geely",
    "renault": "opel vauxhall fiat volvo mack",
    "nissan": "opel vauxhall fiat ud",
    "rover": "honda",
    "saipa": "pars-khodro kia citroen renault dacia nissan",
    "pars-khodro": "renault dacia nissan",
    "santana": "suzuki land-rover",
    "speranza": "daewoo brilliance chevrolet",
    "ssangyong": "daewoo",
    "subaru": "toyota scion suzuki saab isuzu",
    "suzuki": "chevrolet geo pontiac holden fiat opel vauxhall mazda nissan maruti-suzuki toyota changan",
    "toyota": "peugeot citroen opel vauxhall fiat mazda",
    "volvo": "mack ud",
    "xpeng": "haima",
    "zaz": "daewoo chevrolet",
}


@cache
def _pairs() -> frozenset[tuple[str, str]]:
    families = [family.split() for family in _FAMILIES]
    pairs = {(one, other) for family in families for one in family for other in family}
    partners = {(one, other) for one, others in _PARTNERS.items() for other in others.split()}
    return frozenset(pairs | partners | {(other, one) for one, other in partners})


def may_share_vins(slug: str, other: str) -> bool:
    """Whether a VIN issued for the make `slug` may sit on a car sold as `other`. Symmetric, reflexive."""
    return slug == other or (slug, other) in _pairs()
