// Lists in sentences for people.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"

namespace holdfast {

/// "1, 2, 3".
inline std::string list_text(const std::vector<NodeId>& nodes) {
  std::string text;
  for (const NodeId id : nodes) text += (text.empty() ? "" : ", ") + std::to_string(id.value);
  return text;
}

}  // namespace holdfast
