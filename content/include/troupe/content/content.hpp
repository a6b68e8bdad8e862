#pragma once

/// Start here. `content` knows files by what is in them, so that work need not
/// be done twice and files get from one job to another.
///
///   sha256.hpp          the name of some bytes
///   file_set.hpp        which files a list of patterns names, and one hash of
///                       them all
///   blob_store.hpp      bytes under their hash, each kept once
///   result_cache.hpp    what a command has made from the same things before
///   artifact_store.hpp  files that a job hands on
///
///     folder/blobs/3f/3f9a..   bytes; what nobody names any more is removed
///     folder/results/..        a result: outputs and files
///     folder/artifacts/RUN/..  an artifact: files
///     folder/lock              shared by who adds, exclusive to who removes
///
/// Several processes may use one folder. Everything blocks. After a power cut
/// an entry is there as a whole or not at all; bytes are compared with their
/// hash before they are used.
#include <troupe/content/artifact_store.hpp>
#include <troupe/content/blob_store.hpp>
#include <troupe/content/file_set.hpp>
#include <troupe/content/result_cache.hpp>
#include <troupe/content/sha256.hpp>
