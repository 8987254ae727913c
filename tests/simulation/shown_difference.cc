#include "tests/simulation/shown_difference.h"

#include <algorithm>

#include "coordinator/server/digest_points.h"
#include "coordinator/server/digest_watch.h"

namespace holdfast::sim {

namespace {

/// A server that has applied so much still knows the digest that it had after entry `index`.
bool is_kept(LogIndex index, LogIndex applied) {
  using Points = server::DigestPoints;
  uint64_t stride = 1;
  for (size_t level = 0; level < Points::kLevels; ++level, stride *= Points::kStep) {
    if (index.value % stride != 0) return false;
    if (applied.value / stride - index.value / stride < Points::kKept) return true;
  }
  return false;
}

}  // namespace

void ShownDifference::reported(NodeId from, std::string_view bytes, const Standing& standing) {
  peer::DigestReport report;
  if (!standing.leads || !server::PeerCodec().decode(bytes, report)) return;
  if (report.term != static_cast<int64_t>(standing.term.value)) return;
  if (!take(heard_[from], report.state, report.number)) return;
  const bool shows = std::ranges::any_of(report.points, [&](const peer::DigestPoint& point) {
    const LogIndex index(static_cast<uint64_t>(point.index));
    return index > standing.loaded && index <= standing.applied && is_kept(index, standing.applied);
  });
  if (shows) shown_at_ = standing.now;
}

bool ShownDifference::take(Heard& heard, int64_t state, int64_t number) {
  if (heard.former_states.contains(state)) return false;
  if (heard.state == state && number <= heard.number) return false;
  if (heard.state != 0 && heard.state != state) heard.former_states.insert(heard.state);
  heard.state = state;
  heard.number = number;
  return true;
}

bool ShownDifference::open(Instant now) const {
  return shown_at_ && now < *shown_at_ + server::DigestWatch::kFresh;
}

}  // namespace holdfast::sim
