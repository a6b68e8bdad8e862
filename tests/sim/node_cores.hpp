#pragma once

/// What a node keeps to itself, and the simulation runs as it is.
#include "steal_core.hpp"
