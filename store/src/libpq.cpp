#include "libpq.hpp"

#include <troupe/base/error.hpp>

#include <dlfcn.h>
#include <fmt/format.h>

namespace troupe::store {
namespace {

/// The name that it has had since PostgreSQL 8.2.
constexpr const char* file_name = "libpq.so.5";

std::string last_error() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): of this thread, with glibc.
  const char* const what = ::dlerror();
  return what == nullptr ? "for an unknown reason" : what;
}

void* find(void* library, const char* name) {
  void* const found = ::dlsym(library, name);
  if (found == nullptr)
    throw Error{Errc::unsupported,
                fmt::format("{} has no {}: a store in PostgreSQL needs libpq "
                            "14 or newer",
                            file_name, name)};
  return found;
}

LibPq load() {
  void* const library = ::dlopen(file_name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw Error{
        Errc::unsupported,
        fmt::format("a store in PostgreSQL needs libpq, which cannot be "
                    "loaded ({}); install it: the package is libpq5 with "
                    "Debian, libpq with Fedora",
                    last_error())};
  LibPq all;
#define TROUPE_LIBPQ_FIND(name) \
  all.name = reinterpret_cast<decltype(all.name)>(find(library, #name));
  TROUPE_LIBPQ_FUNCTIONS(TROUPE_LIBPQ_FIND)
#undef TROUPE_LIBPQ_FIND
  return all;
}

}  // namespace

const LibPq& libpq() {
  static const LibPq loaded = load();
  return loaded;
}

}  // namespace troupe::store
