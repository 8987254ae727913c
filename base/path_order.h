// The order of paths wherever they are listed: that of a tree.
#pragma once

#include <algorithm>
#include <string_view>

namespace holdfast {

/// A path before all below it, children in byte order of their segments. So the slash sorts before
/// every byte that a segment may have ("/a/b" before "/a!"), and what begins with one text stays
/// together.
inline bool tree_less(std::string_view a, std::string_view b) {
  const auto [at, bt] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (bt == b.end()) return false;
  if (at == a.end() || *at == '/') return true;
  return *bt != '/' && static_cast<unsigned char>(*at) < static_cast<unsigned char>(*bt);
}

/// tree_less as a comparator.
struct TreeLess {
  bool operator()(std::string_view a, std::string_view b) const { return tree_less(a, b); }
};

}  // namespace holdfast
