// What a path may be: absolute, UTF-8, no empty, '.' or '..' segment, no control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::rsm {

/// Well-formed UTF-8 (no overlong forms, no surrogates) without control characters (C0, DEL, C1).
bool is_plain_text(std::string_view text);

/// What the settings path_bytes_max and path_depth_max may be at most.
inline constexpr size_t kPathBytesLargest = 8'192;
inline constexpr size_t kPathDepthLargest = 1'024;

/// May something be created there? BAD_ARGUMENT or TOO_LARGE names the path, what is wrong with it,
/// and the limit.
Status check_path(std::string_view path, size_t bytes_max, size_t depth_max);

/// May something be there? What was created before a limit was lowered stays within reach.
inline Status check_form(std::string_view path) {
  return check_path(path, kPathBytesLargest, kPathDepthLargest);
}

/// `text` between quotes for an error message, cut to about `bytes_max`, a length that a message
/// can bear; bytes that are not plain text appear as '?'.
std::string quote(std::string_view text, size_t bytes_max = 79);

}  // namespace holdfast::rsm
