// What a watch tells as lines: for people, or a JSON document each.
#pragma once

#include <cstdint>
#include <string>

#include "clients/cpp/watch.h"

namespace holdfast::cli {

/// People are told on standard error, programs on standard output: type "began".
void print_beginning(const std::string& path, int64_t revision, bool json);
/// What follows is all there is.
void print_resync(const client::WatchBatch& batch, bool json);
void print_event(const client::WatchBatch& batch, const api::WatchEvent& event, bool with_value,
                 bool json);

}  // namespace holdfast::cli
