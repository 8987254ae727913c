// The text of `holdfast txn`: conditions, and what to do if they hold or not. docs/cli.md has the
// language.
#pragma once

#include <string>

#include "base/error.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::cli {

/// BAD_ARGUMENT names the line, the word and what was expected.
Result<api::TransactRequest> parse_transaction(const std::string& text);

}  // namespace holdfast::cli
