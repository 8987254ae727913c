#include "clients/cli/nearest.h"

#include <algorithm>

namespace holdfast::cli {

size_t typing_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      const bool exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (exchanged) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::string nearest(const std::string& typed, const std::vector<std::string>& words) {
  constexpr size_t kLongestWord = 64;  // of more nobody mistyped a letter
  if (typed.size() > kLongestWord) return "";
  size_t best = std::max<size_t>(1, typed.size() / 3);
  std::string found;
  for (const std::string& word : words) {
    const size_t distance = typing_distance(typed, word);
    if (distance > best || (distance == best && !found.empty())) continue;
    best = distance;
    found = word;
  }
  return found;
}

}  // namespace holdfast::cli
