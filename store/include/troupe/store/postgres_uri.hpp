#pragma once

#include <troupe/base/error.hpp>

#include <string_view>

namespace troupe::store {

/// Whether `uri` may be the place of a store, as libpq reads it:
/// postgresql://user@host:5432/database?sslmode=verify-full. Pure; nobody is
/// asked whether there is such a server.
///
/// A server that is not on this machine has to be checked and encrypted, which
/// is sslmode=verify-full; without that, whoever sits between may read and
/// change commands that run here. Passwords are in files of their own, since
/// what is configured is shown.
///
/// Errors: invalid_argument, with what to write instead. No password that
/// stands in `uri` is in it.
[[nodiscard]] Result<void> check_postgres_uri(std::string_view uri);

}  // namespace troupe::store
