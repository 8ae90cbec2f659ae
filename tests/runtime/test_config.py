"""What is wrong with the environment is said under the name that stands there."""

import pytest

from services.gateway.config import GatewaySettings
from snowmelt.runtime.config import ConfigError, Settings


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (GatewaySettings, "SNOWMELT_CLOCK_OFFSET_MS", "abc"),
        (GatewaySettings, "SNOWMELT_EMBEDDED", "perhaps"),
        (GatewaySettings, "SNOWMELT_GATEWAY_BUDGET_MS", "0"),
        (Settings, "SNOWMELT_CLOCK_OFFSET_MS", "abc"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_key(kind: type[Settings], key: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kind.load({key: value})
    assert str(caught.value).startswith(f"{key}: ")
    assert "\n" not in str(caught.value)


def test_several_are_said_together() -> None:
    with pytest.raises(ConfigError) as caught:
        GatewaySettings.load({"SNOWMELT_CLOCK_OFFSET_MS": "abc", "SNOWMELT_GATEWAY_AT_ONCE": "none"})
    said = str(caught.value).splitlines()
    assert {line.partition(":")[0] for line in said} == {"SNOWMELT_CLOCK_OFFSET_MS", "SNOWMELT_GATEWAY_AT_ONCE"}
