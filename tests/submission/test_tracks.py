"""People followed through the rows of SPIN's files."""

from smplcli.submission.tracks import row_tracks


def tracks(*names):
    return [
        (rows.tolist(), frames.tolist()) for rows, frames in row_tracks([(n, 0) for n in names])
    ]


def test_a_track_goes_on_while_frames_of_one_sequence_rise():
    assert tracks(
        "walk/image_00000.jpg",
        "walk/image_00007.jpg",
        "walk/image_00003.jpg",
        "talk/image_00004.jpg",
    ) == [([0, 1], [0, 7]), ([2], [3]), ([3], [4])]


def test_single_pictures_are_tracks_of_their_own():
    assert tracks("photo.jpg", "photo.jpg", "walk/image_00000.jpg") == [
        ([0], [0]),
        ([1], [0]),
        ([2], [0]),
    ]


def test_no_row_is_no_track():
    assert tracks() == []
