"""The checker finds each violation, and excuses what it has to."""

import unittest

from checker import (AT_LEAST_ONCE, AT_MOST_ONCE, CANCELLED, FAILED, LOST, SUCCESS,
                     Checker, History, JobRow, Recorded, RunRow, Submitted,
                     parse_trace)


def history(trace, result, delivery=AT_LEAST_ONCE, retries=0, code=0, **others):
    """Of one job with one task."""
    return History(
        acknowledged={1: Submitted(1, "a", 1, delivery, retries, code)},
        jobs={1: JobRow("a", 1, True)},
        results={(1, 0): result} if result else {},
        traces={(1, 0): parse_trace(trace)}, **others)


def kinds(seen):
    checker = Checker(seen)
    return [text.split(":")[0] for text in checker.check()]


ONCE = "S 1 10 77 5.00 s1\nE 1 10 6.00 0\n"
TWICE = "S 1 10 77 5.00 s1\nS 2 11 99 20.00 s2\nE 2 11 21.00 0\n"
OVERLAP = TWICE.replace("E 2", "O 2 11 20.01 10\nE 2")


class Finds(unittest.TestCase):
    def test_nothing_where_all_is_well(self):
        self.assertEqual(kinds(history(ONCE, Recorded(1, "s1", SUCCESS, 0))), [])
        self.assertEqual(kinds(history(TWICE, Recorded(2, "s2", SUCCESS, 0))), [])

    def test_a_job_that_is_gone(self):
        seen = history(ONCE, Recorded(1, "s1", SUCCESS, 0))
        seen.jobs.clear()
        self.assertEqual(kinds(seen), ["lost"])

    def test_a_job_that_is_another_one(self):
        seen = history(ONCE, Recorded(1, "s1", SUCCESS, 0))
        seen.jobs[1].name = "b"
        self.assertEqual(kinds(seen), ["lost"])

    def test_a_task_without_a_result(self):
        self.assertEqual(kinds(history(ONCE, None)), ["lost"])

    def test_a_job_that_has_not_ended(self):
        seen = history(ONCE, Recorded(1, "s1", SUCCESS, 0))
        seen.jobs[1].ended = False
        self.assertEqual(kinds(seen), ["lost"])

    def test_a_request_that_became_two_jobs(self):
        seen = history(ONCE, Recorded(1, "s1", SUCCESS, 0))
        seen.jobs[2] = JobRow("a", 1, True)
        self.assertEqual(kinds(seen), ["twice"])

    def test_a_result_that_has_changed(self):
        self.assertEqual(kinds(history(ONCE, Recorded(1, "s1", SUCCESS, 0),
                                       changed=["1.0"])), ["recorded twice"])

    def test_a_loss_of_what_runs_at_least_once(self):
        self.assertEqual(kinds(history(TWICE, Recorded(2, "s2", LOST, 0))), ["lost"])
        self.assertEqual(kinds(history(TWICE, Recorded(2, "s2", CANCELLED, 0))),
                         ["lost"])

    def test_a_second_run_of_what_runs_at_most_once(self):
        self.assertEqual(kinds(history(TWICE, Recorded(2, "s2", SUCCESS, 0),
                                       AT_MOST_ONCE)), ["ran twice"])
        self.assertEqual(kinds(history(TWICE, Recorded(1, "s1", LOST, 0),
                                       AT_MOST_ONCE)), ["ran twice"])

    def test_a_result_of_what_has_not_ended(self):
        self.assertEqual(kinds(history(TWICE, Recorded(1, "s1", SUCCESS, 0))),
                         ["other result"])
        self.assertEqual(kinds(history("", Recorded(1, "s1", SUCCESS, 0))),
                         ["other result"])

    def test_a_result_of_another_session(self):
        self.assertEqual(kinds(history(ONCE, Recorded(1, "s2", SUCCESS, 0))),
                         ["other result"])

    def test_another_result_than_that_of_the_command(self):
        self.assertEqual(kinds(history(ONCE, Recorded(1, "s1", FAILED, 1))),
                         ["other result"])

    def test_a_failure_that_was_not_retried(self):
        trace = "S 1 10 77 5.00 s1\nE 1 10 6.00 3\n"
        result = Recorded(1, "s1", FAILED, 3)
        self.assertEqual(kinds(history(trace, result, code=3)), [])
        self.assertEqual(kinds(history(trace, result, retries=1, code=3)),
                         ["other result"])

    def test_an_overlap(self):
        self.assertEqual(kinds(history(OVERLAP, Recorded(2, "s2", SUCCESS, 0))),
                         ["overlap"])

    def test_a_start_by_a_session_that_had_ended(self):
        self.assertEqual(kinds(history(TWICE, Recorded(2, "s2", SUCCESS, 0),
                                       ended_sessions={"s2": 19.0})), ["late start"])

    def test_a_job_that_began_before_the_one_that_it_needs_had_ended(self):
        for began, found in (("5.50", ["too early"]), ("6.50", [])):
            seen = history(ONCE, Recorded(1, "s1", SUCCESS, 0))
            seen.acknowledged[2] = Submitted(2, "b", 1, AT_LEAST_ONCE, 0, 0, after=1)
            seen.jobs[2] = JobRow("b", 1, True)
            seen.results[(2, 0)] = Recorded(1, "s1", SUCCESS, 0)
            seen.traces[(2, 0)] = parse_trace(f"S 1 20 78 {began} s1\nE 1 20 9.00 0\n")
            self.assertEqual(kinds(seen), found)

    def run_of(self, state="succeeded", **times):
        """Of each job when it began and when it ended."""
        return kinds(History(
            acknowledged_runs={1: "r"}, runs={1: RunRow("r", state)},
            run_traces={("r", job): parse_trace(
                f"S 1 1 1 {begin} s\n" + (f"E 1 1 {end} 0\n" if end else ""))
                for job, (begin, end) in times.items()}))

    def test_runs(self):
        well = {"first": (1, 2), "second": (3, 4), "third": (5, 6)}
        self.assertEqual(self.run_of(**well), [])
        self.assertEqual(self.run_of("running", **well), ["lost"])
        self.assertEqual(self.run_of(**well | {"third": (3.5, 6)}), ["too early"])
        self.assertEqual(self.run_of(**well | {"third": (5, None)}), ["other result"])
        self.assertEqual(kinds(History(acknowledged_runs={1: "r"})), ["lost"])

    def test_orphans(self):
        self.assertEqual(kinds(history(ONCE, Recorded(1, "s1", SUCCESS, 0),
                                       orphans=["sleep"])), ["orphan"])


class Excuses(unittest.TestCase):
    def overlap(self, **others):
        return kinds(history(OVERLAP, Recorded(2, "s2", SUCCESS, 0), **others))

    def test_an_overlap_if_the_earlier_warden_was_stopped_until_then(self):
        self.assertEqual(self.overlap(stopped_wardens={"s1": [(7.0, 19.0)]}), [])

    def test_no_overlap_for_another_warden_or_another_time(self):
        self.assertEqual(self.overlap(stopped_wardens={"s2": [(7.0, 19.0)]}),
                         ["overlap"])
        self.assertEqual(self.overlap(stopped_wardens={"s1": [(7.0, 8.0)]}),
                         ["overlap"])

    def test_an_overlap_if_the_machine_had_stood_still(self):
        self.assertEqual(self.overlap(stalls=[(15.0, 1.0)]), [])
        self.assertEqual(self.overlap(stalls=[(15.0, 0.1)]), ["overlap"])
        self.assertEqual(self.overlap(stalls=[(2.0, 1.0)]), ["overlap"])

    def test_a_loss_of_what_was_lost_too_often(self):
        self.assertEqual(kinds(history(TWICE, Recorded(2, "s2", LOST, 0),
                                       losses={(1, 0): 10})), [])

    def test_what_runs_at_most_once_to_be_lost(self):
        self.assertEqual(kinds(history(ONCE.split("E")[0], Recorded(1, "s1", LOST, 0),
                                       AT_MOST_ONCE)), [])


    def test_a_cancellation_that_was_asked_for(self):
        seen = history("", Recorded(1, "s1", CANCELLED, 0))
        self.assertEqual(kinds(seen), ["lost"])
        seen.acknowledged[1].is_cancelled = True
        self.assertEqual(kinds(seen), [])

    def test_a_cancellation_of_what_had_not_begun(self):
        seen = history("", Recorded(1, "s1", CANCELLED, 0))
        seen.results = {}
        seen.jobs[1] = JobRow("a", 1, True, CANCELLED, 0)
        self.assertEqual(kinds(seen), ["lost"])
        seen.acknowledged[1].is_cancelled = True
        self.assertEqual(kinds(seen), [])
        seen.jobs[1].rest_from = 1
        self.assertEqual(kinds(seen), ["lost"])
        seen = history(TWICE, Recorded(1, "s1", CANCELLED, 0))
        seen.results = {}
        seen.jobs[1] = JobRow("a", 1, True, CANCELLED, 0)
        seen.acknowledged[1].is_cancelled = True
        self.assertEqual(kinds(seen), ["other result"])


class Measures(unittest.TestCase):
    def test_from_the_death_of_a_node_to_the_next_start(self):
        checker = Checker(history(TWICE, Recorded(2, "s2", SUCCESS, 0),
                                  deaths=[(8.0, "s1"), (9.0, "s2")]))
        self.assertEqual(checker.recoveries(), [12.0])
        checker.history.ended_sessions["s1"] = 18.5
        self.assertEqual(checker.ends(), [10.5])


if __name__ == "__main__":
    unittest.main()
