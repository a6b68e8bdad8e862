#pragma once

/// What a node keeps to itself, and the simulation runs as it is.
#include "run_driver.hpp"
#include "run_history.hpp"
#include "run_spec.hpp"
#include "steal_core.hpp"
