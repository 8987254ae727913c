// Keys as JSON, for every command that shows them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "gen/cpp/watch_types.h"

namespace holdfast::cli {

/// Adds bytes under `name` if they are UTF-8, else in base 64 under `name` + "_base64".
void add_bytes(nlohmann::json& to, const std::string& name, const std::string& bytes);
/// Path, value if wanted, stat.
nlohmann::json to_json(const api::KeyEntry& key, bool with_value);
/// "persistent", ...
const char* kind_name(api::KeyKind::type kind);

}  // namespace holdfast::cli
