from __future__ import annotations

from steadyrank.pipeline.divergence.probes.attribute_patches import AttributePatches


class Owner:
    attribute = "class"

    def method(self, x):
        """Adds one."""
        return x + 1


def test_attributes_of_the_class_are_restored():
    owner, patches = Owner(), AttributePatches()
    patches.set(owner, "attribute", "patched")
    assert (owner.attribute, bool(patches)) == ("patched", True)
    patches.undo()
    assert vars(owner) == {}
    assert not patches


def test_attributes_of_the_object_are_restored():
    owner, patches = Owner(), AttributePatches()
    owner.attribute = "own"
    patches.set(owner, "attribute", "first")
    patches.set(owner, "attribute", "second")
    patches.undo()
    assert owner.attribute == "own"


def test_a_wrapped_method_keeps_its_documentation():
    owner, patches = Owner(), AttributePatches()
    patches.wrap(owner, "method", lambda original, *args, **kwargs: -original(*args, **kwargs))
    assert (owner.method(x=1), owner.method.__doc__) == (-2, "Adds one.")
