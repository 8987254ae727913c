#include "session/result_window.h"

#include "base/check.h"

namespace holdfast::session {

uint64_t kept_bytes(const CommandResult& result) {
  constexpr uint64_t kFixed = 64;
  return kFixed + result.message.size() + result.payload.size();
}

Known ResultWindow::know(Sequence sequence, uint64_t content_hash) const {
  if (acknowledged_.contains(sequence)) return Known::kForgotten;
  const KeptResult* kept = find(sequence);
  if (kept == nullptr) return Known::kNew;
  const bool same = kept->content_hash == content_hash || kept->content_hash == kAnyContent;
  if (!same) return Known::kOtherContent;
  return kept->waiting ? Known::kWaiting : Known::kKept;
}

bool ResultWindow::full(const WindowLimits& limits) const {
  return result_count_ >= limits.results || result_bytes_ >= limits.bytes;
}

const KeptResult* ResultWindow::find(Sequence sequence) const {
  const auto it = kept_.find(sequence);
  return it == kept_.end() ? nullptr : &it->second;
}

KeptResult* ResultWindow::find(Sequence sequence) {
  const auto it = kept_.find(sequence);
  return it == kept_.end() ? nullptr : &it->second;
}

KeptResult& ResultWindow::insert(Sequence sequence, const KeptResult& kept) {
  // Sequences mostly ascend, hence the hint.
  const size_t before = kept_.size();
  const auto it = kept_.emplace_hint(kept_.end(), sequence, kept);
  HF_CHECK(kept_.size() == before + 1, "a sequence is kept once");
  if (!kept.waiting) count(kept.result);
  return it->second;
}

void ResultWindow::set_result(KeptResult& kept, const CommandResult& result) {
  if (!kept.waiting) uncount(kept.result);
  kept.waiting = false;
  const uint8_t kind = kept.result.kind;
  kept.result = result;
  kept.result.kind = kind;
  count(result);
}

bool ResultWindow::acknowledge(SequenceRange range, const WindowLimits& limits, size_t& budget,
                               std::vector<Dropped>& dropped) {
  bool changed = false;
  auto it = kept_.lower_bound(range.first);
  while (it != kept_.end() && it->first <= range.last) {
    if (!it->second.waiting) {
      ++it;
      continue;
    }
    if (budget == 0) return changed;
    --budget;
    const SequenceRange before{range.first, it->first.prev()};
    if (before.first <= before.last) {
      changed |= acknowledge_results(before, limits, budget, dropped);
    }
    range.first = it->first.next();
    ++it;
  }
  if (budget > 0 && range.first <= range.last) {
    changed |= acknowledge_results(range, limits, budget, dropped);
  }
  return changed;
}

bool ResultWindow::acknowledge_results(SequenceRange range, const WindowLimits& limits,
                                       size_t& budget, std::vector<Dropped>& dropped) {
  // A client that keeps to its window needs a gap only for what it still waits for.
  const size_t ranges_max = limits.results + waiting_count() + 1;
  const SequenceSet::Added added = acknowledged_.add(range, ranges_max);
  if (added == SequenceSet::Added::kTooMany) budget = 0;
  if (added != SequenceSet::Added::kNew) return false;
  const auto first = kept_.lower_bound(range.first);
  auto it = first;
  for (; it != kept_.end() && it->first <= range.last; ++it) {
    uncount(it->second.result);
    dropped.push_back({it->second.row_id, it->second.row_hash});
  }
  kept_.erase(first, it);
  return true;
}

void ResultWindow::count(const CommandResult& result) {
  ++result_count_;
  result_bytes_ += kept_bytes(result);
}

void ResultWindow::uncount(const CommandResult& result) {
  --result_count_;
  result_bytes_ -= kept_bytes(result);
}

}  // namespace holdfast::session
