// The text of `holdfast txn`: conditions, and what to do if they hold or not. docs/cli.md has the
// language.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::cli {

struct TxnScript {
  api::TransactRequest request;
  /// The line of each step, from 1.
  std::vector<int> then_lines;
  std::vector<int> otherwise_lines;
};

/// BAD_ARGUMENT names the line, the word and what was expected.
Result<TxnScript> parse_transaction(const std::string& text);

/// A server's refusal with the file, the line and the words of the text, for the step and the
/// fields that it names.
std::string in_words_of(const TxnScript& script, const std::string& file,
                        const std::string& refusal);

/// The path that a step asks for.
const std::string& path_of(const api::Operation& step);

}  // namespace holdfast::cli
