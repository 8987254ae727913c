// Histories as text: one JSON object a line, as docs/testing.md describes it.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "tests/history/history.h"

namespace holdfast::history {

/// Records every line of `in`. What is wrong with the first bad line, with its number, or nothing.
std::optional<std::string> read_json_lines(std::istream& in, History& history);

}  // namespace holdfast::history
