#pragma once

/// Where results and artifacts are kept.
#include <troupe/base/error.hpp>
#include <troupe/content/blob_store.hpp>

#include <CLI/CLI.hpp>

#include <string>

namespace troupe::cli {

/// --store FOLDER
void add_content_option(CLI::App& app, std::string& folder);

/// The folder that nobody has chosen: TROUPE_CONTENT, else "troupe/content" in
/// state_home().
[[nodiscard]] std::string default_content_folder();

/// Opens `folder`, or the default one if it is empty. Blocks.
[[nodiscard]] Result<content::BlobStore> open_content(std::string folder);

/// Once a day, by whoever adds something. What goes wrong is not told: it is
/// tried again.
void remove_old_content_sometimes(const content::BlobStore& blobs);

}  // namespace troupe::cli
