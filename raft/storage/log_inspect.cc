#include "raft/storage/log_inspect.h"

#include <algorithm>

#include "base/count_text.h"
#include "raft/storage/data_directory.h"

namespace holdfast::raft {
namespace {

const char* role_name(LogFile::Role role) {
  switch (role) {
    case LogFile::Role::kChain:
      return "log";
    case LogFile::Role::kSpare:
      return "spare";
    case LogFile::Role::kDead:
      return "superseded";
    case LogFile::Role::kTemporary:
      return "temporary";
  }
  return "unknown";
}

InspectedRecord describe(const Record& record) {
  InspectedRecord described;
  described.offset = record.offset;
  described.type = record_type_name(record.type);
  described.term = record.term;
  (is_entry(record.type) ? described.index : described.vote) = record.index;
  described.payload_bytes = record.payload.size();
  return described;
}

class Inspector {
 public:
  Inspector(FileSystem& files, const std::string& directory, GroupId group,
            std::optional<StoreId> store, InspectDetail detail)
      : scan_(files, directory, group, store), detail_(detail) {
    report_.directory = directory;
    report_.group = group;
  }

  LogInspection run() {
    std::optional<LogFault> fault = scan_.find_segments();
    list_segments();
    if (!fault) {
      fault = scan_.replay([this](const ScannedBatch& batch) { take_up(batch); });
    }
    report_.tail = scan_.end().tail;
    if (!scan_.empty()) report_.first_index = scan_.begin().index.next().value;
    judge(fault);
    return std::move(report_);
  }

 private:
  void list_segments() {
    for (const LogFile& file : scan_.files()) {
      InspectedSegment segment;
      segment.file = file.name;
      segment.number = file.number;
      segment.role = role_name(file.role);
      segment.file_bytes = file.bytes;
      segment.head = file.head;
      report_.segments.push_back(std::move(segment));
    }
  }

  void take_up(const ScannedBatch& batch) {
    auto& segments = report_.segments;
    const auto segment = std::find_if(segments.begin(), segments.end(), [&](const auto& each) {
      return each.file == batch.file->name;
    });
    segment->end = batch.end;
    ++segment->batch_count;
    segment->record_count += batch.records.size();
    ++report_.batch_count;
    report_.record_count += batch.records.size();
    if (detail_ == InspectDetail::kSegments) return;
    InspectedBatch described;
    described.number = batch.number;
    described.offset = batch.offset;
    described.bytes = batch.end - batch.offset;
    described.record_count = batch.records.size();
    described.whole = batch.whole;
    if (detail_ == InspectDetail::kRecords) {
      for (const Record& record : batch.records) described.records.push_back(describe(record));
    }
    segment->batches.push_back(std::move(described));
  }

  void judge(const std::optional<LogFault>& fault) {
    if (fault) {
      report_.verdict = LogInspection::Verdict::kDamaged;
      report_.message = fault->to_error().message;
      report_.fault = fault;
    } else if (scan_.empty()) {
      report_.verdict = LogInspection::Verdict::kEmpty;
      report_.message = report_.directory + ": no log here";
    } else if (scan_.end().torn) {
      report_.verdict = LogInspection::Verdict::kTornTail;
      report_.torn_file = scan_.end().file->name;
      report_.torn_offset = scan_.end().offset;
      report_.message = scan_.end().describe();
    } else {
      report_.verdict = LogInspection::Verdict::kSound;
      report_.message = "every record verifies";
      if (report_.first_index > 1) {
        report_.message += "; what came before entry " + std::to_string(report_.first_index) +
                           " was cut off, and must be in a snapshot";
      }
    }
  }

  LogScan scan_;
  const InspectDetail detail_;
  LogInspection report_;
};

std::string batches_text(uint64_t count) { return count_text(count, "batch", "batches"); }

std::string records_text(uint64_t count) { return count_text(count, "record", "records"); }

void format_batch(const InspectedBatch& batch, std::string& out) {
  out += "    batch " + std::to_string(batch.number) + " at " + std::to_string(batch.offset) +
         ", " + count_text(batch.bytes, "byte", "bytes") + ", " + records_text(batch.record_count) +
         (batch.whole ? "\n" : ", unfinished\n");
  for (const InspectedRecord& record : batch.records) {
    out += "      " + std::to_string(record.offset) + "  " + record.type;
    out += "  term " + std::to_string(record.term);
    if (record.type == record_type_name(static_cast<uint8_t>(RecordType::kHardState))) {
      out += "  vote " + std::to_string(record.vote) + "\n";
    } else {
      out += "  index " + std::to_string(record.index) + "  " +
             count_text(record.payload_bytes, "byte", "bytes") + "\n";
    }
  }
}

void format_segment(const InspectedSegment& segment, std::string& out) {
  out += "  " + segment.file + "  " + segment.role + ", " + std::to_string(segment.file_bytes) +
         " bytes";
  if (segment.end != 0) {
    out += ", used to " + std::to_string(segment.end) + ", " + batches_text(segment.batch_count) +
           ", " + records_text(segment.record_count);
  }
  out += "\n";
  if (segment.head) {
    const SegmentHead& head = *segment.head;
    out += "    store " + std::to_string(head.store.value) + ", begins in term " +
           std::to_string(head.tail.hard_state.term.value) + ", vote " +
           std::to_string(head.tail.hard_state.vote.value) + ", after entry " +
           std::to_string(head.tail.last_index.value);
    if (head.previous_segment != 0) {
      out += "; the log before it ends in " + segment_file_name(head.previous_segment) + " at " +
             std::to_string(head.previous_end);
    }
    out += "\n";
  }
  for (const InspectedBatch& batch : segment.batches) format_batch(batch, out);
}

}  // namespace

const char* verdict_name(LogInspection::Verdict verdict) {
  switch (verdict) {
    case LogInspection::Verdict::kEmpty:
      return "empty";
    case LogInspection::Verdict::kSound:
      return "sound";
    case LogInspection::Verdict::kTornTail:
      return "torn-tail";
    case LogInspection::Verdict::kDamaged:
      return "damaged";
  }
  return "unknown";
}

LogInspection inspect_log(FileSystem& files, const std::string& log_directory, GroupId group,
                          std::optional<StoreId> store, InspectDetail detail) {
  return Inspector(files, log_directory, group, store, detail).run();
}

Result<std::vector<LogInspection>> inspect_data_directory(FileSystem& files,
                                                          const std::string& data_directory,
                                                          InspectDetail detail) {
  const auto identity = read_identity(files, data_directory);
  if (!identity) return identity.error();
  auto names = files.list(data_directory);
  if (!names) return names.error().to_error();
  std::vector<LogInspection> logs;
  for (const std::string& name : *names) {
    const auto group = group_named(name);
    if (!group) continue;
    logs.push_back(inspect_log(files, log_directory_path(data_directory, *group), *group,
                               identity->store, detail));
  }
  // A start that was refused has made an empty log there: sound, but not what is missed.
  const bool lost = std::all_of(logs.begin(), logs.end(), [](const LogInspection& log) {
    return log.verdict != LogInspection::Verdict::kDamaged && log.tail.last_index == LogIndex();
  });
  if (lost && identity->cluster) {
    return log_lost(data_directory, *identity,
                    log_directory_path(data_directory, kDefaultGroup) + " holds no entry");
  }
  return logs;
}

std::string format_inspection(const LogInspection& inspection) {
  std::string out =
      inspection.directory + " (group " + std::to_string(inspection.group.value) + ")\n";
  for (const InspectedSegment& segment : inspection.segments) format_segment(segment, out);
  const HardState& state = inspection.tail.hard_state;
  out += "  " + batches_text(inspection.batch_count) + ", " +
         records_text(inspection.record_count) + "; entries " +
         std::to_string(inspection.first_index) + " to " +
         std::to_string(inspection.tail.last_index.value) + ", the last of term " +
         std::to_string(inspection.tail.last_term.value) + "; the server's own term is " +
         std::to_string(state.term.value) + ", its vote in that " +
         std::to_string(state.vote.value) + "\n";
  out += "  " + std::string(verdict_name(inspection.verdict)) + ": " + inspection.message + "\n";
  return out;
}

}  // namespace holdfast::raft
