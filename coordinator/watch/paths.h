// Paths as the key tree orders them, and what lies above a path.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/path_order.h"
#include "coordinator/watch/types.h"

namespace holdfast::watch {

/// Everything above `path`: "/" for "/a", "/a" for "/a/b", nothing for "/".
inline std::string_view parent_of(std::string_view path) {
  if (path.size() <= 1) return {};
  const size_t slash = path.rfind('/');
  return path.substr(0, slash == 0 ? 1 : slash);
}

/// Is `path` the path `top` itself, or below it?
inline bool within(std::string_view path, std::string_view top) {
  if (top.size() == 1) return true;
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

inline bool in_scope(std::string_view path, std::string_view top, Scope scope) {
  switch (scope) {
    case Scope::kNode:
      return path == top;
    case Scope::kChildren:
      return parent_of(path) == top;
    case Scope::kSubtree:
      return within(path, top);
  }
  return false;
}

/// Calls visit(prefix) for "/" and each path above `path`, ending with `path` itself.
template <class Visit>
void for_each_prefix(std::string_view path, Visit&& visit) {
  visit(path.substr(0, 1));
  for (size_t at = 1; at < path.size();) {
    at = std::min(path.find('/', at), path.size());
    visit(path.substr(0, at));
    ++at;
  }
}

}  // namespace holdfast::watch
