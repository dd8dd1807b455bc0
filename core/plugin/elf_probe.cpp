// SPDX-License-Identifier: Apache-2.0
#include "plugin/elf_probe.hpp"

#include <elf.h>

#include <bit>
#include <cstring>

#include "plugin/load_error.hpp"

namespace hyperway::plugin {
namespace {

#if defined(__x86_64__)
constexpr unsigned kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kMachine = EM_AARCH64;
#else
#error "add the ELF machine number of this architecture"
#endif
constexpr unsigned char kData =
    std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;

/// Bounds-checked reads; nothing in the file is trusted.
class Image {
 public:
  explicit Image(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  [[nodiscard]] std::optional<T> at(std::uint64_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return std::nullopt;
    T out;
    std::memcpy(&out, bytes_.data() + offset, sizeof out);
    return out;
  }
  [[nodiscard]] std::string_view text(std::uint64_t offset) const {
    if (offset >= bytes_.size()) return {};
    const auto* start = reinterpret_cast<const char*>(bytes_.data() + offset);
    return {start, strnlen(start, bytes_.size() - offset)};
  }

 private:
  std::span<const std::byte> bytes_;
};

std::vector<Elf64_Shdr> sectionsOf(const Image& image, const Elf64_Ehdr& head) {
  std::vector<Elf64_Shdr> out;
  for (std::uint64_t i = 0; i < head.e_shnum; ++i)
    if (const auto section = image.at<Elf64_Shdr>(head.e_shoff + i * sizeof(Elf64_Shdr)))
      out.push_back(*section);
  return out;
}

std::optional<std::uint64_t> fileOffset(const Image& image, const Elf64_Ehdr& head,
                                        std::uint64_t address) {
  for (std::uint64_t i = 0; i < head.e_phnum; ++i) {
    const auto segment = image.at<Elf64_Phdr>(head.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment && segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
        address - segment->p_vaddr < segment->p_filesz)
      return segment->p_offset + (address - segment->p_vaddr);
  }
  return std::nullopt;
}

void readSymbols(const Image& image, const Elf64_Ehdr& head, const Elf64_Shdr& table,
                 std::uint64_t strings, std::string_view wanted, ElfProbe& out) {
  for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size; at += sizeof(Elf64_Sym)) {
    const auto symbol = image.at<Elf64_Sym>(table.sh_offset + at);
    if (!symbol) return;
    if (symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT) continue;
    const std::string_view name = image.text(strings + symbol->st_name);
    if (name == wanted) {
      if (const auto offset = fileOffset(image, head, symbol->st_value))
        out.manifest = image.at<ElfProbe::Manifest>(*offset);
    } else if (name.starts_with("hyperway_plugin_v")) {
      out.other_majors.emplace_back(name);
    }
  }
}

void readNeeded(const Image& image, const Elf64_Shdr& table, std::uint64_t strings, ElfProbe& out) {
  for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= table.sh_size; at += sizeof(Elf64_Dyn)) {
    const auto entry = image.at<Elf64_Dyn>(table.sh_offset + at);
    if (!entry || entry->d_tag == DT_NULL) return;
    if (entry->d_tag == DT_NEEDED) out.needed.emplace_back(image.text(strings + entry->d_un.d_val));
  }
}

}  // namespace

ElfProbe probeElf(std::span<const std::byte> file, std::string_view symbol,
                  const std::string& name) {
  const Image image(file);
  const auto head = image.at<Elf64_Ehdr>(0);
  if (!head || std::memcmp(head->e_ident, ELFMAG, SELFMAG) != 0)
    throw LoadError(name + ": not a shared object (no ELF header)");
  if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != kData ||
      head->e_machine != kMachine)
    throw LoadError(name + ": built for another machine than this one");
  if (head->e_type != ET_DYN) throw LoadError(name + ": not a shared object; link it with -shared");

  ElfProbe out;
  const std::vector<Elf64_Shdr> sections = sectionsOf(image, *head);
  bool has_table = false;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_link >= sections.size()) continue;
    const std::uint64_t strings = sections[section.sh_link].sh_offset;
    if (section.sh_type == SHT_DYNSYM) {
      has_table = true;
      readSymbols(image, *head, section, strings, symbol, out);
    } else if (section.sh_type == SHT_DYNAMIC) {
      readNeeded(image, section, strings, out);
    }
  }
  if (!has_table)
    throw LoadError(name +
                    ": its symbol table cannot be read; the file is damaged, or its section "
                    "headers were stripped");
  return out;
}

}  // namespace hyperway::plugin
