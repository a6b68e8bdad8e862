#pragma once

/// Start here. `fanout` is what `troupe map` decides: which commands to run for
/// which arguments, how many at once, when to stop and in what order to show
/// the output. It opens, starts and waits for nothing; its shell does, which
/// owns one object of each of these classes in one thread.
///
/// The story of one item, `b.log` in `troupe map 'gzip {} | wc' ::: a.log
/// b.log`:
///
///   split_map_words    source_list.hpp       the command and its sources
///   CommandTemplate    command_template.hpp  parsed once, before anything runs
///   parse_job_slots    job_slots.hpp         how many run at once
///   ArgumentStream     argument_source.hpp   is pulled when a slot is free:
///     RecordReader       record_reader.hpp     bytes become records,
///     ColumnSeparator    column_separator.hpp  records become columns,
///                                              {seq 2, values {"b.log"}}
///   JobLogReader       joblog.hpp            seq 2 may be done (--resume)
///   OutputOrder        output_order.hpp      may seq 2 start yet (-k)?
///   CommandTemplate    render                an argv, or text for /bin/sh
///   results_paths      results_path.hpp      where its output goes (--results)
///   TimeoutPolicy      timeout_policy.hpp    how long it may run
///   ...                                      the engine runs it, with retries
///   HaltPolicy         halt_policy.hpp       on_finished: go on, stop or kill
///   format_job_log_row joblog.hpp            its row in --joblog
///   OutputOrder        output_order.hpp      whose output is shown now
///   Progress           progress.hpp          the line for --bar
///   HaltPolicy         exit_status           what the whole map exits with
///
/// Back-pressure: whoever stops calling ArgumentStream::next stops the reading
/// of standard input. That happens when no slot is free and when OutputOrder
/// says that a job may not start.
#include <troupe/fanout/argument_source.hpp>
#include <troupe/fanout/arguments.hpp>
#include <troupe/fanout/column_separator.hpp>
#include <troupe/fanout/command_template.hpp>
#include <troupe/fanout/halt_policy.hpp>
#include <troupe/fanout/interval_set.hpp>
#include <troupe/fanout/job_slots.hpp>
#include <troupe/fanout/joblog.hpp>
#include <troupe/fanout/output_order.hpp>
#include <troupe/fanout/progress.hpp>
#include <troupe/fanout/record_reader.hpp>
#include <troupe/fanout/results_path.hpp>
#include <troupe/fanout/runtime_median.hpp>
#include <troupe/fanout/source_list.hpp>
#include <troupe/fanout/timeout_policy.hpp>
