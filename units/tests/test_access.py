import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import Http404

from units import access, services
from units.models import Role, Unit
from units.tests.cast import EAST, MILL_GRID, WEST, unit_of


def test_a_role_reaches_everything_below_its_unit_and_nothing_else(operator_east, cameras):
    assert {unit.code[:6] for unit in access.units_of(operator_east)} == {EAST}
    assert [camera.code for camera in access.cameras_of(operator_east)] == ["cam-3", "cam-4"]
    assert access.has_role(operator_east, unit_of("33010200100101"), Role.OPERATOR)
    assert not access.has_role(operator_east, unit_of("330100"), Role.OPERATOR)


def test_a_role_is_not_another_role(administrator, operator):
    assert not access.units_of(administrator, Role.OPERATOR).exists()
    assert not access.units_of(operator, Role.ADMINISTRATOR).exists()
    assert access.units_of(operator, Role.SUPERVISOR, Role.OPERATOR).count() == Unit.objects.count()


@pytest.mark.parametrize("person", ["stranger", "auditor", "researcher"])
def test_who_does_not_work_with_units_sees_none(request, cameras, person):
    user = request.getfixturevalue(person)
    assert not access.units_of(user).exists() and not access.cameras_of(user).exists()
    with pytest.raises(Http404):
        access.get_unit_or_404(user, unit_of(WEST).pk)


def test_who_is_not_logged_in_or_no_longer_active_sees_nothing(operator):
    operator.is_active = False
    for user in (AnonymousUser(), operator):
        assert not access.units_of(user).exists()
        assert access.roles_of(user) == set()


def test_a_superuser_has_every_role_everywhere(admin_user, city):
    assert access.units_of(admin_user, Role.AUDITOR).count() == Unit.objects.count()
    assert access.roles_of(admin_user) == set(Role.values)


@pytest.mark.parametrize("pk", ["x", "", None, -1, 10**30, "1 or 1=1"])
def test_an_id_that_is_none_is_not_found(operator, pk):
    with pytest.raises(Http404):
        access.get_unit_or_404(operator, pk)


def test_overlapping_memberships_count_once(operator, django_assert_num_queries):
    for code in (WEST, MILL_GRID, EAST):
        services.membership_add(operator, Role.SUPERVISOR, unit_of(code))
    assert access.granted_paths(operator) == [unit_of("330100").path]
    with django_assert_num_queries(2):
        assert len(list(access.units_of(operator))) == 12


def test_nobody_grants_himself_a_role_but_a_superuser(administrator, operator, admin_user, city):
    with pytest.raises(Exception, match="yourself"):
        services.membership_add(administrator, Role.OPERATOR, city, granted_by=administrator)
    services.membership_add(operator, Role.SUPERVISOR, city, granted_by=administrator)
    services.membership_add(admin_user, Role.OPERATOR, city, granted_by=admin_user)
    assert access.roles_of(administrator) == {Role.ADMINISTRATOR}
    assert access.roles_of(operator) == {Role.OPERATOR, Role.SUPERVISOR}
