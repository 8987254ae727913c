// A snapshot in a file: verified, and what is said of it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "coordinator/loading/snapshot_file.h"

namespace holdfast::cli {

/// The file that `path` leads to. SQLite opens no links, and a pipe would be waited for.
Result<std::string> real_file(const std::string& path);
/// Verifies the file at `path`, which may be a link to one; errors and the result name it as given.
Result<loading::SnapshotFile> look_at(const std::string& path);
/// Says what is wrong, on standard error; the exit code.
int report_snapshot(const Error& error);

/// "the state of cluster C at revision R, ...", without the file's name.
std::string describe(const loading::SnapshotFile& file);
nlohmann::json to_json(const loading::SnapshotFile& file);
/// "12.3 MiB".
std::string format_bytes(uint64_t bytes);

}  // namespace holdfast::cli
