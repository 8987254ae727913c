#include "coordinator/watch/interests.h"

#include "base/check.h"

namespace holdfast::watch {

Interests::~Interests() {
  all_.clear_and_dispose([](Interest* interest) { delete interest; });
}

Interest* Interests::find_or_add(const InterestKey& key, Revision since) {
  auto at = paths_.find(key.path);
  if (at == paths_.end()) at = paths_.emplace(key.path, AtPath{}).first;
  Interest*& first = at->second[static_cast<size_t>(key.scope)];
  Interest* interest = first;
  while (interest != nullptr && (interest->spaces != key.spaces || interest->types != key.types)) {
    interest = interest->next;
  }
  if (interest == nullptr) {
    interest = new Interest;
    interest->path = &at->first;
    interest->scope = key.scope;
    interest->spaces = key.spaces;
    interest->types = key.types;
    interest->covered_from = history_.last();
    interest->next = std::exchange(first, interest);
    all_.push_back(*interest);
  }
  cover(*interest, since);
  return interest;
}

void Interests::remove(Interest* interest) {
  HF_CHECK(interest->watches.empty(), "an interest with watches is removed");
  history_.count_listed(-static_cast<int64_t>(interest->positions.size()));
  const auto at = paths_.find(*interest->path);
  Interest** link = &at->second[static_cast<size_t>(interest->scope)];
  while (*link != interest) link = &(*link)->next;
  *link = interest->next;
  if (at->second == AtPath{}) paths_.erase(at);
  all_.erase_and_dispose(all_.iterator_to(*interest), [](Interest* gone) { delete gone; });
}

// A path's own events and those of its children are chained; a subtree's are looked for among all.
void Interests::cover(Interest& interest, Revision since) {
  if (since >= interest.covered_from) return;
  if (interest.scope == Scope::kSubtree) {
    const uint64_t first = history_.position_after(since);
    uint64_t next = history_.position_after(interest.covered_from);
    const uint64_t mark = history_.mark_of(*interest.path);
    for (; next > first; --next) {
      if (history_.bears(next - 1, mark)) list_older(interest, next - 1);
    }
  } else {
    const Chain chain = interest.scope == Scope::kNode ? Chain::kPath : Chain::kParent;
    uint64_t next = interest.positions.empty() ? history_.newest_of(chain, *interest.path)
                                               : history_.older(chain, interest.positions.front());
    while (next != 0 && history_.at(next - 1).revision > since) {
      list_older(interest, next - 1);
      next = history_.older(chain, next - 1);
    }
  }
  interest.covered_from = since;
}

void Interests::list_older(Interest& interest, uint64_t position) {
  Event& event = history_.at(position);
  if (!interest.matches(event)) return;
  interest.positions.push_front(position);
  interest.newest = std::max(interest.newest, event.revision);
  event.listed = true;
  history_.count_listed(1);
}

void Interests::unlist(uint64_t position, const Event& event) {
  if (!event.listed) return;
  for_each_match(event, [&](Interest& interest) {
    if (interest.positions.empty() || interest.positions.front() != position) return;
    interest.positions.pop_front();
    interest.lost = event.revision;
    history_.count_listed(-1);
  });
}

std::string Interests::check(const Interest& interest) const {
  const std::string name = "interest in " + *interest.path + ": ";
  size_t listed = 0;
  for (uint64_t at = history_.first_position(); at < history_.end_position(); ++at) {
    const Event& event = history_.at(at);
    if (event.revision <= interest.covered_from || !interest.matches(event)) continue;
    if (listed >= interest.positions.size() || interest.positions[listed] != at) {
      return name + "its list differs from the history";
    }
    if (!event.listed) return name + "a listed event is not marked";
    if (interest.newest < event.revision) return name + "its newest event is older than a listed";
    ++listed;
  }
  if (listed != interest.positions.size()) return name + "it lists what does not match";
  if (interest.lost > history_.floor()) return name + "it lost an event that is still there";
  if (interest.newest > history_.last()) return name + "its newest event is from the future";
  const auto at = paths_.find(*interest.path);
  if (at == paths_.end()) return name + "not in the index";
  const Interest* found = at->second[static_cast<size_t>(interest.scope)];
  while (found != nullptr && found != &interest) found = found->next;
  return found == nullptr ? name + "not at its path" : "";
}

std::string Interests::check_invariants() const {
  uint64_t listed = 0;
  for (const Interest& interest : all_) {
    if (std::string broken = check(interest); !broken.empty()) return broken;
    listed += interest.positions.size();
  }
  return listed == history_.listed() ? "" : "interests: listed positions differ from a recount";
}

}  // namespace holdfast::watch
