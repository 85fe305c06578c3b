"""Which axes of a tensor are the image's, after its places were moved about."""

from __future__ import annotations

from fractions import Fraction

from networks import Network


def test_a_pixel_shuffle_joins_a_resized_skip() -> None:
    """Super-resolution: the upsampled features are added to the upsampled image."""
    net = Network(1, 1, 6, 8)
    deep = net.conv("x", [3, 3], 4, pads=[1, 1, 1, 1])
    blocks = net.add("Reshape", deep, net.ints(1, 1, 2, 2, 6, 8))
    turned = net.add("Transpose", blocks, perm=[0, 1, 4, 2, 5, 3])
    fine = net.add("Reshape", turned, net.ints(1, 1, 12, 16))
    skip = net.add("Resize", "x", "", net.constant([1, 1, 2, 2]), mode="nearest")
    for pair in ((fine, skip), (skip, fine)):
        tensor = net.add("Add", *pair)
        found = net.geometry(tensor)
        assert found.spatial_axes(tensor) == (2, 3)
        grids = found.local_grids(tensor)
        assert grids is not None
        for grid in grids:
            assert grid.field is not None
            assert grid.field.effective_stride == Fraction(1, 2)
            assert [grid.field.at(o) for o in range(3)] == [(-1, 1), (-1, 1), (0, 2)]


def test_a_place_inside_a_window_is_no_place_of_the_image() -> None:
    net = Network(1, 1, 6, 8)
    blocks = net.add("Reshape", "x", net.ints(1, 1, 3, 2, 4, 2))
    turned = net.add("Transpose", blocks, perm=[0, 2, 4, 1, 3, 5])
    inside = net.conv(net.add("Reshape", turned, net.ints(12, 1, 2, 2)), [2, 2], pads=[0, 1, 1, 0])
    found = net.geometry(inside)
    assert not found.unanalysed
    assert found.spatial_axes(inside) is None
    # What is left to follow are the windows, each two pixels high and wide.
    grids = found.local_grids(inside)
    assert grids is not None
    assert [grid.size for grid in grids] == [3, 4]
    assert [grid.field.at(1) for grid in grids if grid.field is not None] == [(2, 3), (2, 3)]
