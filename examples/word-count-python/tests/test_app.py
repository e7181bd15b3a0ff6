"""The logic, as plain Python: `python3 -m unittest discover tests`."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import app  # noqa: E402


class Count(unittest.TestCase):
    def test_lines_may_lie_across_chunks(self):
        self.assertEqual(app.count([b"roses a", b"re\n\nred"], True), {"lines": 2, "words": 3})
        self.assertEqual(app.count([b"roses\n\n"], False), {"lines": 2, "words": 1})

    def test_misspelt_parameters_are_refused(self):
        with self.assertRaises(app.InvalidParameters):
            app.parse({"skip_emtpy": True})


if __name__ == "__main__":
    unittest.main()
