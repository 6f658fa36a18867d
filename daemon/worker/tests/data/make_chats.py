#!/usr/bin/env python3
"""Make chats.json: what transformers' `apply_chat_template` makes of conversations, and what TRL learns of them.

Made with transformers 5.23.0, trl 1.16.0 and Jinja2 3.1.6. The templates are those that trl has (Apache-2.0, copied beside this file
by their names), the tokenizer is that of tests/data/tiny-llama. `null`: the template refuses the conversation.
"""
import json, logging, shutil, sys
from pathlib import Path

import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).resolve().parent
TINY = HERE.parents[3] / "tests/data/tiny-llama"
TEMPLATES = ["cohere", "deepseekv3", "gemma", "gemma3", "glm4moe", "lfm2", "llama3", "llama3_1", "llama3_2", "phi3", "qwen2_5", "qwen3",
             "qwen3_instruct_2507"]
DAY = "26 Jul 2024"
CHATS = {
    "question": [{"role": "user", "content": "Hi, wie geht's? 你好 🙂"}],
    "answered": [{"role": "user", "content": " What is 2 + 3?\n"}, {"role": "assistant", "content": "5, I\tthink. \"<b>\" & 'c'"}],
    "turns": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "Apple"},
              {"role": "user", "content": "Another."}, {"role": "assistant", "content": "Pear.\n\nOr plum."}],
    "two_in_a_row": [{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}],
}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells the weather, \"now\".", "parameters": {
    "properties": {"city": {"description": "Where: Köln", "type": "string"}}, "required": ["city"], "type": "object"}}}]


def rendered(tokenizer, messages, **options):
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, date_string=DAY, **options)
    except Exception as err:
        print(tokenizer.name_or_path, str(err)[:80])
        return None


def learnt(folder):
    """Of conversations, by TRL: ids and `completion_mask`."""
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    cases = [CHATS["answered"], CHATS["turns"]]
    rows = [{"prompt": it[:-1], "completion": it[-1:]} for it in cases]
    config = SFTConfig(output_dir=folder, report_to=[], max_length=None, use_cpu=True, bf16=False)
    trainer = SFTTrainer(AutoModelForCausalLM.from_pretrained(TINY), config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    learnt = lambda row: [int(it != -100) for it in row["labels"]]
    return [{"messages": it, "input_ids": row["input_ids"], "completion_mask": learnt(row)} for it, row in zip(cases, trainer.train_dataset)]


def main():
    logging.disable(logging.WARNING)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    out = {"specials": {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}, "tools": TOOLS, "cases": []}
    for name in TEMPLATES:
        shutil.copy(Path(trl.__file__).parent / f"chat_templates/{name}.jinja", HERE / f"chats/{name}.jinja")
        tokenizer.chat_template = (HERE / f"chats/{name}.jinja").read_text()
        for messages in CHATS.values():
            for generation in [False, True]:
                text = rendered(tokenizer, messages, add_generation_prompt=generation)
                out["cases"].append({"template": name, "messages": messages, "generation": generation, "tools": False, "text": text})
        text = rendered(tokenizer, CHATS["question"], tools=TOOLS, add_generation_prompt=True)
        out["cases"].append({"template": name, "messages": CHATS["question"], "generation": True, "tools": True, "text": text})
    out["learnt"] = learnt(sys.argv[1])
    (HERE / "chats.json").write_text(json.dumps(out, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
