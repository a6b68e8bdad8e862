#pragma once

/// Start here. `workflow` reads the language that people write workflows in,
/// refuses what makes no sense, and decides what may run next.
///
///   load.hpp        load_workflow(): a file's text to a checked Workflow
///   model.hpp       Workflow, Job, Step: immutable, every name in it is known
///   inputs.hpp      what a run is given, by the types that the file declares
///   triggers.hpp    what starts runs: times, files, requests
///   services.hpp    services and groups, and plan_services()
///   service_warnings.hpp  what in them may surprise
///   plan.hpp        Plan: one run as a machine, events in, actions out
///   history.hpp     what earlier runs tell about how long the next one takes
///   insights.hpp    what in them could be better
///   outputs.hpp     what a step writes to $TROUPE_OUTPUT
///   keywords.hpp    every word of the language, in one table
///   reference.hpp   the same as a JSON Schema and as a page
///   template.hpp    texts with ${{ }}, and how values are quoted for a shell
///   expression.hpp  the language between ${{ and }}
///   value.hpp       its values
///
/// All of it is pure: no files, clocks, threads or processes.
#include <troupe/workflow/expression.hpp>
#include <troupe/workflow/history.hpp>
#include <troupe/workflow/inputs.hpp>
#include <troupe/workflow/insights.hpp>
#include <troupe/workflow/keywords.hpp>
#include <troupe/workflow/load.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/outputs.hpp>
#include <troupe/workflow/plan.hpp>
#include <troupe/workflow/reference.hpp>
#include <troupe/workflow/template.hpp>
#include <troupe/workflow/value.hpp>
