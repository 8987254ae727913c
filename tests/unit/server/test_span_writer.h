// The way to the snapshot's disk, without a disk.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "coordinator/snapshot/span_writer.h"

namespace holdfast::server {

/// Whatever it is given is on the disk when it is asked.
struct PromptSpanWriter final : snapshot::SpanWriter {
  void submit(snapshot::Span span) override { applied = span.head.applied; }
  std::optional<Result<snapshot::WrittenSpan>> collect() override {
    if (!applied) return std::nullopt;
    snapshot::WrittenSpan written;
    written.applied = std::exchange(applied, LogIndex());
    written.durable = true;
    return written;
  }
  std::optional<Error> obstacle() const override { return std::nullopt; }
  std::optional<snapshot::Span> recall() override { return std::nullopt; }
  void hurry(bool) override {}
  void look() override {}
  bool moved() const override { return false; }
  LogIndex applied;
};

/// Whatever it is given is under way until the test says what has come of it.
struct SlowSpanWriter final : snapshot::SpanWriter {
  void submit(snapshot::Span given) override {
    under_way = given.head.applied;
    span = std::move(given);
  }
  std::optional<Result<snapshot::WrittenSpan>> collect() override {
    if (!outcome) return std::nullopt;
    under_way = LogIndex();
    return std::exchange(outcome, std::nullopt);
  }
  std::optional<Error> obstacle() const override {
    return no_room ? std::optional(Error{ErrorCode::kNoSpace, "no room"}) : std::nullopt;
  }
  std::optional<snapshot::Span> recall() override {
    if (!no_room) return std::nullopt;
    under_way = LogIndex();
    return std::move(span);
  }
  void hurry(bool) override {}
  void look() override { ++looks; }
  bool moved() const override { return gone; }
  /// What was submitted last is written.
  void finish(snapshot::WrittenSpan written) {
    ASSERT_TRUE(under_way) << "nothing was submitted";
    written.applied = under_way;
    outcome = written;
    gone = false;
  }
  LogIndex under_way;
  snapshot::Span span;  ///< the last one
  bool no_room = false;
  int looks = 0;
  bool gone = false;  ///< what was written
  std::optional<snapshot::WrittenSpan> outcome;
};

}  // namespace holdfast::server
