from samnb.encoding.blocks import LARGEST, BlockSize


def measured(work, pace=None):
    size = BlockSize()
    for number in range(17):
        size.image_ended(work, now=number * (pace or work))
    return size


def test_images_have_threads_of_their_own_until_enough_are_measured():
    size = BlockSize()
    for number in range(16):
        size.image_ended(0.001, now=number * 0.002)
        assert size.next == 0
    size.image_ended(0.001, now=0.032)
    assert size.next == 16
    size.reset()
    assert size.next == 0


def test_images_with_much_work_are_never_in_blocks():
    assert measured(0.05).next == 0


def test_blocks_take_a_twentieth_of_a_second_and_have_an_upper_limit():
    for seconds, expected in ((0.001, 50), (0.0001, LARGEST), (1.0, 0)):
        size = measured(0.002, pace=0.01)
        for _ in range(3):
            size.block_ended(16, 16 * seconds)
        assert size.next == expected


def test_one_block_that_was_held_up_says_little_and_slow_ones_end_them_for_good():
    size = measured(0.002)
    size.block_ended(16, 0.1)
    assert size.next == 16
    for _ in range(7):
        size.block_ended(16, 0.1)
    assert size.next == 0
    for number in range(50):
        size.image_ended(0.001, now=number * 1.0)
    assert size.next == 0
