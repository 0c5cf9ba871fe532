"""The tests of repro; the asserts of their shared helpers say what was compared."""

import pytest

pytest.register_assert_rewrite("tests.support", "tests.watch", "tests.terminal")
