// What a path may be: absolute, UTF-8, no empty, '.' or '..' segment, no control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::rsm {

/// Well-formed UTF-8 (no overlong forms, no surrogates) without control characters (C0, DEL, C1).
bool is_plain_text(std::string_view text);

/// BAD_ARGUMENT or TOO_LARGE names the path, what is wrong with it, and the limit.
Status check_path(std::string_view path, size_t bytes_max, size_t depth_max);

/// `text` between quotes for an error message, cut to a length that a message can bear; bytes that
/// are not plain text appear as '?'.
std::string quote(std::string_view text);

}  // namespace holdfast::rsm
