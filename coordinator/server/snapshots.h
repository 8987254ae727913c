// When the state is written to disk: gathers what each entry changed, and hands a span to the
// snapshot thread when the log behind the last one has grown or some time has passed (ARCHITECTURE,
// "Durability"). One span is under way at a time. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/error.h"
#include "coordinator/server/host.h"
#include "coordinator/snapshot/span_writer.h"

namespace holdfast::server {

struct SnapshotStats {
  LogIndex applied;    ///< of the newest snapshot on disk; zero: there is none
  LogIndex written;    ///< what the database holds; may be on no disk yet
  uint64_t spans = 0;  ///< written since the start
  uint64_t rows = 0;   ///< in them
  uint64_t bytes = 0;  ///< of the database
  Duration last_taken{};
  double log_bytes_s = 0;  ///< how fast it went through the log lately; zero: not known
};

class Snapshots {
 public:
  /// Without a writer nothing is gathered. `bytes` is the size of the snapshot that was loaded,
  /// `wal_bytes` that of its "-wal", which is free to be filled anew.
  Snapshots(Host& host, snapshot::SpanWriter* writer, std::string genesis, uint64_t bytes,
            uint64_t wal_bytes = 0);

  /// The machine has applied the entry.
  void on_entry(const raft::Entry& entry);
  /// Closes a turn; an error ends the process.
  Status turn_end();
  /// The state is wanted on disk now: a copy is asked for.
  void hurry() { hurried_ = true; }
  /// What was written may have been removed by somebody: it is looked for at once.
  void look() { look_at_ = host_.clock.now(); }
  /// This server stops: a start need not replay what is written now, without regard for others.
  void finish() { hurried_ = finishing_ = true; }
  /// The state is not to be believed: no more of it is written. A span that is under way may end.
  void stop();
  /// Nothing is left of what hurry() or finish() asked for, or the disk is full.
  bool settled() const;
  Instant next_wakeup() const;

  /// The log is not needed to this entry any more: a snapshot on disk covers it, and the last
  /// snapshot_log_bytes of the log stay for servers that are a little behind, or half of that if
  /// the state is small; on a full disk a sixteenth. Zero: nothing can go.
  LogIndex cut_through() const { return cut_through_; }

  const SnapshotStats& stats() const { return stats_; }
  /// Of the log that is applied, what the database does not have yet: it is held in memory too.
  uint64_t waiting_bytes() const { return under_way_bytes_ + log_bytes_; }
  /// How much of that there may be: with more, writes are slowed (write_pace.h).
  uint64_t waiting_bytes_max() const;
  /// The part of it that there is; more than 1 is more than there may be.
  double behind() const;
  /// For how long somebody who reads the database has kept what was written from being durable in
  /// it: meanwhile the log is not cut, and the "-wal" grows. Absent if nobody does, or not for
  /// long.
  std::optional<Duration> read_for() const;
  /// For how long since somebody removed the database or put another file in its place, which was
  /// found and mended. Absent if nobody did, or not lately.
  std::optional<Duration> removed_for() const;
  /// Of the "-wal", as last written.
  uint64_t wal_bytes() const { return taken_bytes_ - std::min(taken_bytes_, stats_.bytes); }
  /// Why the disk does not take the span that is under way, if so.
  std::optional<std::string> obstacle() const;
  /// That the file system must have for what is gathered, at most: rows may lie on all pages of the
  /// database, which go to the "-wal", and the database grows by what is new. What of the "-wal"
  /// waits for nobody is filled first.
  uint64_t room_wanted() const;
  /// That its files have of the file system, as last written.
  uint64_t room_taken() const { return taken_bytes_; }
  /// It is that the disk is full.
  bool wants_room() const;

 private:
  bool due() const;
  bool has_slack_to_give() const;
  Duration give_back_every() const;
  Duration interval() const;
  uint64_t due_bytes() const;
  double part_of_a_period() const;
  void take_back();
  void look_for_it();
  std::optional<Error> held_up() const;
  void seal();
  Status collect();
  void note_speed();
  void count(uint64_t log_bytes);
  void mark();
  void advance_cut();

  Host& host_;
  snapshot::SpanWriter* const writer_;
  const std::string genesis_;
  snapshot::RowSpan rows_;
  /// By which the database grows for the rows of the span that is sealed or under way.
  uint64_t span_bytes_ = 0;
  uint64_t wal_bytes_ = 0;    ///< of the "-wal", which is free to be filled anew
  uint64_t taken_bytes_ = 0;  ///< of both files
  uint64_t log_bytes_ = 0;    ///< applied since the last span was sealed, and its batches' padding
  uint64_t under_way_bytes_ = 0;  ///< of the log, in the span that is sealed or under way
  uint64_t total_bytes_ = 0;      ///< applied since the start, likewise
  uint64_t padding_bytes_ = 0;    ///< counted
  /// Where the log had got to, some marks a tail, ascending: the log is cut at one of them.
  struct Mark {
    LogIndex index;
    uint64_t total_bytes = 0;
  };
  std::deque<Mark> marks_;
  LogIndex cut_through_;
  Instant sealed_at_;
  Instant look_at_;             ///< when what was written is next looked for
  bool sealed_before_ = false;  ///< since the start
  /// Waits until this node's own log is durable to its end: a snapshot never passes the log.
  std::optional<snapshot::Span> sealed_;
  std::optional<Instant> submitted_at_;
  std::optional<Instant> read_since_;  ///< what was written is not durable in the database since
  std::optional<Instant> removed_at_;  ///< as last found
  bool slack_;   ///< the database, as last written, has room to give back; at first: it may have
  bool excess_;  ///< so much that it goes though the disk is not full; likewise
  bool hurried_ = false;
  bool finishing_ = false;
  bool urgent_ = false;  ///< as the writer was told
  bool stopped_ = false;
  SnapshotStats stats_;
};

}  // namespace holdfast::server
