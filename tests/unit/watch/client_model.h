// A client that takes up what it is told about its watches and judges it against the world (I19):
// gap-free, ordered, unique, whole groups of matching changes only, progress after the events, and
// a view that equals the state at every mark.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "tests/unit/watch/world.h"

namespace holdfast::watch {

/// One watch as its client knows it.
class WatchModel {
 public:
  WatchModel(const World& world, WatchSpec spec, std::string path, uint64_t since)
      : world_(&world), shape_(spec), path_(std::move(path)), last_(since), since_(since) {}

  /// What it is registered with, here or on another server.
  WatchSpec spec() const {
    WatchSpec spec = shape_;
    spec.path = path_;
    spec.since = Revision(last_);
    return spec;
  }
  uint64_t last() const { return last_; }
  bool resyncing() const { return resyncing_; }

  void take(const Line& line) {
    switch (line.kind) {
      case Kind::kGroup:
        return resyncing_ ? take_passed(line) : take_group(line);
      case Kind::kBegin:
        return begin(line);
      case Kind::kItem:
        return take_item(line);
      case Kind::kEnd:
        return end(line);
    }
  }

  void progress(uint64_t revision) {
    if (resyncing_ || revision <= last_) return;
    const uint64_t missed = world_->next_group(spec(), last_);
    EXPECT_TRUE(missed == 0 || missed > revision)
        << "progress " << revision << " passes events of " << missed;
    reach(revision, {});
  }

  /// The same watch after its client registered it with last(): nothing half told is kept.
  WatchModel moved_elsewhere() const {
    WatchModel moved(*world_, shape_, path_, last_);
    moved.view_ = view_;
    moved.since_ = since_;
    return moved;
  }

 private:
  bool all_types() const { return shape_.types == kAllTypes; }

  void take_group(const Line& line) {
    EXPECT_GT(line.revision, last_) << "told again, or out of order";
    partial_.insert(partial_.end(), line.changes.begin(), line.changes.end());
    EXPECT_FALSE(line.changes.empty());
    if (!line.complete) return;
    EXPECT_EQ(line.revision, world_->next_group(spec(), last_)) << "a gap";
    EXPECT_EQ(partial_, expected(world_->group(spec(), line.revision)));
    reach(line.revision, std::exchange(partial_, {}));
  }

  std::vector<Change> expected(std::vector<Change> changes) const {
    for (Change& change : changes) {
      if (!shape_.with_values) change.payload.clear();
    }
    return changes;
  }

  void begin(const Line& line) {
    EXPECT_GE(line.revision, last_) << "a resync from the past";
    resyncing_ = true;
    partial_.clear();
    fresh_ = {};
    keys_over_ = false;
    walked_.clear();
  }

  // Only what the walk has passed may change in front of it.
  void take_passed(const Line& line) {
    EXPECT_GE(line.revision, passed_revision_) << "within a resync, back in time";
    passed_revision_ = line.revision;
    for (const Change& change : line.changes) {
      EXPECT_TRUE(selects(spec(), change.space, change.path)) << change.path << " does not match";
      apply(change, fresh_);
    }
  }

  void take_item(const Line& line) {
    EXPECT_TRUE(resyncing_) << "an item outside of a resync";
    const Change& object = line.changes.front();
    EXPECT_TRUE(selects(spec(), object.space, object.path)) << object.path << " is not watched";
    if (object.space == Space::kLocks && !keys_over_) {
      keys_over_ = true;
      walked_.clear();
    }
    EXPECT_FALSE(keys_over_ && object.space == Space::kKeys) << "keys after locks";
    EXPECT_TRUE(walked_.empty() || tree_less(walked_, object.path)) << "items out of order";
    EXPECT_FALSE(fresh_[number_of(object.space)].contains(object.path)) << "told before its turn";
    walked_ = object.path;
    apply(object, fresh_);
  }

  void end(const Line& line) {
    EXPECT_TRUE(resyncing_);
    resyncing_ = false;
    passed_revision_ = 0;
    EXPECT_GE(line.revision, last_);
    last_ = line.revision;
    view_ = std::move(fresh_);
    expect_view();  // whatever types of events it asked for
  }

  // Events and progress: the view goes on to this revision.
  void reach(uint64_t revision, const std::vector<Change>& changes) {
    last_ = revision;
    if (!all_types() || !shape_.with_values) return;
    if (!view_) view_ = selected(spec(), world_->states[since_]);
    for (const Change& change : changes) apply(change, *view_);
    expect_view();
  }

  void expect_view() const {
    if (!shape_.with_values) return;
    EXPECT_EQ(*view_, selected(spec(), world_->states[last_]));
  }

  const World* world_;
  WatchSpec shape_;  ///< without its path, which may move
  std::string path_;
  uint64_t last_;   ///< everything up to here was taken up whole
  uint64_t since_;  ///< what it began with; then it read the state at this revision
  std::optional<Objects2> view_;
  Objects2 fresh_;  ///< during a resync: what takes the view's place at its end
  std::vector<Change> partial_;
  bool resyncing_ = false;
  bool keys_over_ = false;
  uint64_t passed_revision_ = 0;
  std::string walked_;
};

}  // namespace holdfast::watch
