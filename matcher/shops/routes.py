"""HTTP of shops: onboarding, uploads, the directory, reviews. Translations only."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, patch, post, put
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from matcher.accounts.access import Access, Caller
from matcher.errors import FieldError, InvalidRequest, UnsupportedMediaType
from matcher.geo.types import checked_place
from matcher.http import WireDTO, answer, expected_version, file_response, json_response
from matcher.limits import Limit as RateLimit
from matcher.paging import DEFAULT_LIMIT, Cursor, Limit, Page
from matcher.serialization import decode
from matcher.shops import schemas
from matcher.shops.lifecycle import Status
from matcher.shops.onboarding import StepBody, step_body
from matcher.shops.onboarding_service import OnboardingService
from matcher.shops.service import ShopService
from matcher.shops.uploads import MAX_BODY_BYTES, UploadService
from matcher.transactions import IdempotentCall
from matcher.vehicles.makes import list_makes

PUBLIC = {"access": Access.PUBLIC}
SIGNED_IN = {"access": Access.SIGNED_IN}
UPLOADING = {"access": Access.SIGNED_IN, "limit": RateLimit.UPLOADS}
# Any account may open a shop except admins, who would verify themselves.
ONBOARDING = {"access": Access.CUSTOMER}
SHOP_STAFF = {"access": Access.SHOP_STAFF}
SHOP_MANAGING = {"access": Access.SHOP_MANAGING}
ADMIN = {"access": Access.ADMIN}

# How many shops `GET /shops/near` answers: a map's worth; the index finds 20 in microseconds.
DEFAULT_NEAR, MAX_NEAR = 20, 50

Shops = NamedDependency[ShopService]
Onboarding = NamedDependency[OnboardingService]
Uploads = NamedDependency[UploadService]
Signed = NamedDependency[Caller]
Call = NamedDependency[IdempotentCall | None]
AnyRequest = Request[Any, Any, Any]


class StepDTO(WireDTO[Any]):
    """Decodes the body as the step in the path asks for it."""

    def decode_bytes(self, value: bytes) -> Any:
        """Strictly, as `WireDTO` does; NotFound for a step that there is not."""
        return decode(value, step_body(self.asgi_connection.path_params["step"]))


@dataclass
class UploadOperation(Operation):
    """Documents the form of `POST /uploads`, which its handler reads itself."""

    def __post_init__(self) -> None:
        file = Schema(type=OpenAPIType.STRING, content_media_type="application/octet-stream")
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": file}, required=["file"])
        self.request_body = RequestBody({"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)


@post("/shop-onboarding/start", opt=ONBOARDING, tags=["shops"])
async def start_onboarding(
    onboarding: Onboarding,
    caller: Signed,
    call: Call,
    data: JSONBody[schemas.StartOnboarding | None] = None,
) -> Response[schemas.OnboardingView]:
    """Start an onboarding, or with `claimShopId` the claim of an imported shop. 409 `shop_already_claimed`."""
    claim_shop_id = data.claim_shop_id if data else None
    return answer(await onboarding.start(caller, claim_shop_id, call))


@get("/shop-onboarding/{onboarding_id:uuid}", opt=ONBOARDING, tags=["shops"])
async def get_onboarding(
    onboarding: Onboarding, caller: Signed, onboarding_id: FromPath[UUID]
) -> Response[schemas.OnboardingView]:
    """The caller's onboarding with the steps given so far."""
    return json_response(await onboarding.get(caller, onboarding_id))


@put("/shop-onboarding/{onboarding_id:uuid}/step/{step:int}", opt=ONBOARDING, tags=["shops"], dto=StepDTO)
async def put_step(
    onboarding: Onboarding,
    caller: Signed,
    request: AnyRequest,
    onboarding_id: FromPath[UUID],
    step: FromPath[int],
    data: JSONBody[StepBody],
) -> Response[schemas.OnboardingView]:
    """Give a step, for the first time or again. The body is that of the step: 1 `BusinessInfo`, 2 `LocationInfo`,
    3 `VehicleBrands`, 4 `InventorySetup`, 5 `PricingStrategy`, 6 `Verification`. 409 `onboarding_closed`.
    """
    return answer(await onboarding.put_step(caller, onboarding_id, step, data, expected_version(request)))


@post("/shop-onboarding/{onboarding_id:uuid}/complete", opt=ONBOARDING, tags=["shops"], status_code=200)
async def complete_onboarding(
    onboarding: Onboarding, caller: Signed, call: Call, onboarding_id: FromPath[UUID]
) -> Response[schemas.CompletedOnboarding]:
    """Make the shop, which then waits for verification. 409 `onboarding_incomplete` names `missingSteps`."""
    return answer(await onboarding.complete(caller, onboarding_id, call))


@post(
    "/uploads",
    opt=UPLOADING,
    tags=["shops"],
    request_max_body_size=MAX_BODY_BYTES,
    operation_class=UploadOperation,
)
async def upload(
    uploads: Uploads, caller: Signed, call: Call, request: AnyRequest
) -> Response[schemas.UploadView]:
    """Store a PDF, PNG, JPEG or WebP of at most 10 MiB: multipart/form-data, field `file`. 422 `unsupported_file`."""
    content = await _uploaded_file(request)
    if call is not None:
        # A repeated form has another boundary; the same file is the same request.
        call = IdempotentCall.of(call.account_id, call.scope, call.key, content)
    return answer(await uploads.store(caller, content, call))


@get("/uploads/{upload_id:uuid}", opt=SIGNED_IN, tags=["shops"])
async def get_upload(uploads: Uploads, caller: Signed, upload_id: FromPath[UUID]) -> Response[bytes]:
    """A file, for its owner and for admins."""
    return file_response(await uploads.get(caller, upload_id))


@get("/admin/shops", opt=ADMIN, tags=["admin"])
async def list_shops(
    shops: Shops, status: FromQuery[Status | None] = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Response[Page[schemas.AdminShopView]]:
    """Shops of a status; `pending_verification` is the verification queue."""
    return json_response(await shops.list_shops(status, limit, cursor))


@post("/admin/shops/{shop_id:uuid}/verify", opt=ADMIN, tags=["admin"], status_code=200)
async def verify_shop(
    shops: Shops, caller: Signed, call: Call, shop_id: FromPath[UUID]
) -> Response[schemas.AdminShopView]:
    """Let a shop that waits for verification take orders. 409 `shop_state`."""
    return answer(await shops.review(caller, shop_id, "verify", call=call))


@post("/admin/shops/{shop_id:uuid}/reject", opt=ADMIN, tags=["admin"], status_code=200)
async def reject_shop(
    shops: Shops, caller: Signed, call: Call, shop_id: FromPath[UUID], data: JSONBody[schemas.Review]
) -> Response[schemas.AdminShopView]:
    """Refuse a shop that waits for verification; its owner may onboard again. 409 `shop_state`."""
    return answer(await shops.review(caller, shop_id, "reject", reason=data.reason, call=call))


@post("/admin/shops/{shop_id:uuid}/suspend", opt=ADMIN, tags=["admin"], status_code=200)
async def suspend_shop(
    shops: Shops, caller: Signed, call: Call, shop_id: FromPath[UUID], data: JSONBody[schemas.Review]
) -> Response[schemas.AdminShopView]:
    """Take an active shop out of matching and close its sockets. 409 `shop_state`."""
    return answer(await shops.review(caller, shop_id, "suspend", reason=data.reason, call=call))


@post("/admin/shops/{shop_id:uuid}/reactivate", opt=ADMIN, tags=["admin"], status_code=200)
async def reactivate_shop(
    shops: Shops, caller: Signed, call: Call, shop_id: FromPath[UUID]
) -> Response[schemas.AdminShopView]:
    """Let a suspended or inactive shop take orders again. 409 `shop_state`."""
    return answer(await shops.review(caller, shop_id, "reactivate", call=call))


@get("/shops/{shop_id:uuid}", opt=SHOP_STAFF, tags=["shops"])
async def get_shop(shops: Shops, shop_id: FromPath[UUID]) -> Response[schemas.ShopView]:
    """The shop, for its own people."""
    return json_response(await shops.get(shop_id))


@patch("/shops/{shop_id:uuid}", opt=SHOP_MANAGING, tags=["shops"])
async def update_shop(
    shops: Shops, request: AnyRequest, shop_id: FromPath[UUID], data: JSONBody[schemas.ShopUpdate]
) -> Response[schemas.ShopView]:
    """Change an active shop; fields left out stay. In force within a second. 409 `shop_state`."""
    return answer(await shops.update(shop_id, data, expected_version(request)))


@get("/shops/{shop_id:uuid}/profile", opt=PUBLIC, tags=["shops"])
async def get_profile(shops: Shops, shop_id: FromPath[UUID]) -> Response[schemas.ShopProfile]:
    """A listed shop (`active` or `unclaimed`), for anybody."""
    return json_response(await shops.get_profile(shop_id))


@get("/shops/near", opt=PUBLIC, tags=["shops"])
async def list_near(
    shops: Shops,
    latitude: Annotated[float, QueryParameter(description="WGS84 degrees")],
    longitude: Annotated[float, QueryParameter(description="WGS84 degrees")],
    make: Annotated[str | None, QueryParameter(max_length=64, description="A make in any spelling")] = None,
    unclaimed: Annotated[
        bool, QueryParameter(description="Imported shops that wait for their owner, instead of active ones")
    ] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_NEAR)] = DEFAULT_NEAR,
) -> Response[schemas.NearShops]:
    """The nearest shops. Active ones: those that would be asked for parts of `make` at the place."""
    place = checked_place(latitude, longitude)
    if unclaimed:
        return json_response(await shops.list_near_unclaimed(place, make, limit))
    if make is None:
        raise InvalidRequest(errors=[FieldError("/query/make", "name a make, or ask for unclaimed shops")])
    return json_response(shops.list_near(place, make, limit))


@get("/vehicle-makes", opt=PUBLIC, tags=["shops"])
async def get_vehicle_makes() -> Response[schemas.VehicleMakes]:
    """Every make that is understood, with its spellings."""
    items = [
        schemas.MakeView(slug=make.slug, name=make.name, name_ar=make.name_ar, aliases=list(make.aliases))
        for make in list_makes()
    ]
    return json_response(schemas.VehicleMakes(items=items))


async def _uploaded_file(request: AnyRequest) -> bytes:
    """The content of the form's one field `file`. Raises UnsupportedMediaType, InvalidRequest."""
    if request.content_type[0] != "multipart/form-data":
        raise UnsupportedMediaType("Send the file as multipart/form-data in the field `file`.")
    await request.body()  # read once; the form is parsed from it
    try:
        form = await request.form()
    except (ValueError, LookupError, HTTPException) as error:
        # Text parts in an unknown or wrong charset raise LookupError and UnicodeDecodeError.
        if isinstance(error, HTTPException) and error.status_code != 400:
            raise
        raise InvalidRequest("The form is not valid multipart/form-data.") from error
    try:
        files = form.getall("file", [])
        if len(files) != 1 or not isinstance(files[0], UploadFile):
            raise InvalidRequest(errors=[FieldError("/file", "send one file, with a file name")])
        return await files[0].read()
    finally:
        for _, value in form.multi_items():
            if isinstance(value, UploadFile):
                await value.close()


ROUTES: list[Any] = [
    start_onboarding,
    get_onboarding,
    put_step,
    complete_onboarding,
    upload,
    get_upload,
    list_shops,
    verify_shop,
    reject_shop,
    suspend_shop,
    reactivate_shop,
    get_shop,
    update_shop,
    get_profile,
    list_near,
    get_vehicle_makes,
]
