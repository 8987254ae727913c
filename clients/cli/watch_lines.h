// What a watch tells as lines: for people, or a JSON document each.
#pragma once

#include <cstdint>
#include <string>

#include "clients/cpp/watch.h"

namespace holdfast::cli {

/// For programs only: type "began".
std::string beginning_line(const std::string& path, int64_t revision);
/// What follows is all there is.
std::string resync_line(const client::WatchBatch& batch, bool json);
/// All up to it was shown.
std::string progress_line(int64_t revision, bool json);
std::string event_line(const client::WatchBatch& batch, const api::WatchEvent& event,
                       bool with_value, bool json);

}  // namespace holdfast::cli
