#pragma once

/// libpq, which is not linked: it brings more than twenty libraries along, and
/// who has no store in PostgreSQL need not load them, nor have them installed
/// (docs/adr/0025-libpq-when-it-is-needed.md).
#include <libpq-fe.h>

// clang-format off
#define TROUPE_LIBPQ_FUNCTIONS(use) \
  use(PQclear) \
  use(PQcmdTuples) \
  use(PQconnectPoll) \
  use(PQconnectStartParams) \
  use(PQconninfoFree) \
  use(PQconninfoParse) \
  use(PQconsumeInput) \
  use(PQenterPipelineMode) \
  use(PQerrorMessage) \
  use(PQfinish) \
  use(PQflush) \
  use(PQfreemem) \
  use(PQgetResult) \
  use(PQgetisnull) \
  use(PQgetlength) \
  use(PQgetvalue) \
  use(PQisBusy) \
  use(PQntuples) \
  use(PQparameterStatus) \
  use(PQpipelineSync) \
  use(PQresultErrorField) \
  use(PQresultErrorMessage) \
  use(PQresultStatus) \
  use(PQsendFlushRequest) \
  use(PQsendPrepare) \
  use(PQsendQuery) \
  use(PQsendQueryParams) \
  use(PQsendQueryPrepared) \
  use(PQserverVersion) \
  use(PQsetErrorVerbosity) \
  use(PQsetNoticeReceiver) \
  use(PQsetnonblocking) \
  use(PQsocket) \
  use(PQstatus)
// clang-format on

namespace troupe::store {

/// Those of its functions that we use, under their own names.
struct LibPq {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it is the name of the member.
#define TROUPE_LIBPQ_MEMBER(name) decltype(&::name) name = nullptr;
  TROUPE_LIBPQ_FUNCTIONS(TROUPE_LIBPQ_MEMBER)
#undef TROUPE_LIBPQ_MEMBER
};

/// Loads it with the first call, which takes some milliseconds; it stays. From
/// any thread.
///
/// Throws Error: unsupported (it is not installed, or too old).
const LibPq& libpq();

}  // namespace troupe::store
