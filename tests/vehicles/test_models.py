"""The shipped models belong to known makes and to years that exist."""

from matcher.vehicles.makes import find_make, list_makes
from matcher.vehicles.models import Model, list_models


def test_models_of_a_make_come_in_alphabetical_order_with_their_years() -> None:
    models = list_models("toyota")
    names = [model.name for model in models]
    assert names == sorted(names)
    assert "Corolla" in names
    assert all(1992 <= model.first_year <= model.last_year <= 2026 for model in models)


def test_make_without_models_has_an_empty_list() -> None:
    assert list_models("lada") == ()
    assert list_models("no such make") == ()


def test_every_model_belongs_to_a_known_make() -> None:
    models: list[Model] = [model for make in list_makes() for model in list_models(make.slug)]
    assert len(models) == 1459
    assert all((make := find_make(model.make)) is not None and make.slug == model.make for model in models)
