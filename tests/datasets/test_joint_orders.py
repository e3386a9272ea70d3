import numpy as np

from smplcli.datasets.joint_orders import reorder_joints


def test_joints_are_found_by_name():
    labels = np.array([[1.0, 2, 1], [3, 4, 1]])

    moved = reorder_joints(labels, ("nose", "neck"), ("neck", "nose"))

    np.testing.assert_array_equal(moved, [[3, 4, 1], [1, 2, 1]])


def test_a_joint_that_the_source_lacks_is_not_known():
    moved = reorder_joints(np.ones((1, 3)), ("nose",), ("neck", "nose"))

    np.testing.assert_array_equal(moved, [[0, 0, 0], [1, 1, 1]])
