#include <algorithm>

#include "base/check.h"
#include "coordinator/watch/collector.h"

namespace holdfast::watch {

Collected Collector::run() {
  Busy& busy = *owner_.busy;
  find_behind();
  const bool both = resyncs_ > 0 && resyncs_ < busy.pending.size();
  if (both && busy.resync_first) {
    resync(true);
    tell_events(false);
  } else {
    tell_events(both);
    resync(false);
  }
  busy.resync_first = !busy.resync_first;
  finish();
  return result_;
}

// The history may have dropped what a watch was to be told next. One that walks begins again, after
// those that wait.
void Collector::find_behind() {
  Busy& busy = *owner_.busy;
  Watch* overtaken = nullptr;
  for (Watch* watch : busy.pending) {
    if (watch->mode == Mode::kWalking && state_.has_lost(*watch)) overtaken = watch;
    if (watch->mode != Mode::kBehind && state_.has_lost(*watch)) watch->mode = Mode::kBehind;
    if (watch->mode != Mode::kLive) ++resyncs_;
  }
  if (overtaken == nullptr) return;
  busy.walkers.reset();
  std::erase(busy.pending, overtaken);
  busy.pending.push_back(overtaken);
}

void Collector::begin_pass(bool share) {
  const size_t bytes = request_.bytes - std::min(request_.bytes, result_.bytes);
  const size_t entries = request_.entries - std::min(request_.entries, result_.entries);
  budget_ = {share ? bytes / 2 : bytes, share ? entries / 2 : entries, result_.entries == 0};
}

void Collector::take(size_t size) {
  budget_.take(size);
  result_.bytes += size;
  ++result_.entries;
}

void Collector::tell(Watch& watch) {
  if (watch.told) return;
  watch.told = true;
  owner_.busy->told.push_back({&watch, watch.through, watch.part, watch.mode});
}

void Collector::pass_by(Watch& watch, Revision revision) {
  watch.through = revision;
  watch.part = 0;
}

void Collector::push_next(Watch* watch, size_t index) {
  if (index >= watch->interest->positions.size()) return;
  auto& heap = state_.next_groups;
  heap.push_back({state_.listed(*watch->interest, index).revision, watch, index});
  std::push_heap(heap.begin(), heap.end());
}

void Collector::tell_events(bool share) {
  begin_pass(share);
  auto& heap = state_.next_groups;
  heap.clear();
  for (Watch* watch : owner_.busy->pending) {
    if (watch->mode == Mode::kLive) push_next(watch, state_.first_unseen(*watch));
  }
  while (!heap.empty()) {
    const NextGroup next = heap.front();
    const size_t end = state_.group_end(*next.watch->interest, next.index);
    if (hand_group(next, end) != Handed::kWhole) break;
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
    push_next(next.watch, end);
  }
  if (!heap.empty()) next_revision_ = heap.front().revision;
}

// A group is split only where a delivery (or its share) begins: it would not fit into the next one
// either.
Collector::Handed Collector::hand_group(const NextGroup& next, size_t end) {
  Watch& watch = *next.watch;
  const Interest& interest = *watch.interest;
  Budget trial = budget_;
  size_t fitting = next.index;
  for (; fitting < end; ++fitting) {
    const size_t size = sink_.size_of(state_.listed(interest, fitting), watch.with_values);
    if (!trial.fits(size)) break;
    trial.take(size);
  }
  const bool whole = fitting == end;
  if (!whole && !budget_.first) return Handed::kNothing;
  tell(watch);
  sink_.begin_group(watch.id, next.revision);
  for (size_t index = next.index; index < fitting; ++index) {
    const Event& event = state_.listed(interest, index);
    take(sink_.size_of(event, watch.with_values));
    sink_.add(event, watch.with_values);
  }
  sink_.end_group(whole);
  if (whole) {
    pass_by(watch, next.revision);
  } else {
    watch.part += static_cast<uint32_t>(fitting - next.index);
  }
  return whole ? Handed::kWhole : Handed::kPart;
}

void Collector::finish() {
  Busy& busy = *owner_.busy;
  std::erase_if(busy.pending, [this](Watch* watch) {
    watch->pending = state_.has_unseen(*watch);
    return !watch->pending;
  });
  const bool resyncs_left = std::any_of(busy.pending.begin(), busy.pending.end(),
                                        [](Watch* watch) { return watch->mode != Mode::kLive; });
  if (!resyncs_left) {
    result_.progress = next_revision_ ? next_revision_.prev() : state_.history.last();
  }
  result_.more = !busy.pending.empty();
  if (!busy.told.empty()) busy.delivery = request_.delivery;
  owner_.awake = result_.more;
}

Collected Watches::collect(const CollectRequest& request, Walk& walk, Sink& sink) {
  HF_CHECK(request.delivery != 0, "a delivery without a number");
  Owner* owner = state_->find_owner(request.owner);
  if (owner == nullptr) return {};
  state_->roll_back(*owner);
  state_->gather(*owner);
  Collected result;
  if (owner->busy) {
    result = Collector(*state_, *owner, request, walk, sink).run();
    state_->rest(*owner);
  } else {
    result.progress = state_->history.last();
  }
  result.newest_watch = owner->watches.rbegin()->id;
  state_->trim();
  return result;
}

}  // namespace holdfast::watch
