// What names under .pulse say besides those of the nodes, which need no record.

import { el, problemLine, say, worded } from "./dom.js";
import { Table } from "./table.js";

export class DnsView {
  constructor({ api }) {
    this.problem = problemLine();
    const columns = [
      { title: "Name", text: (record) => record.name },
      { title: "Type", text: (record) => record.type },
      { title: "Value", text: (record) => record.value },
      { title: "Kept for", numeric: true, text: (record) => `${record.ttl} s`, sort: (record) => record.ttl },
    ];
    this.list = new Table("Records", columns, (record) => `${record.name} ${record.type} ${record.value}`, { empty: "No records. Each node has its name without one: db-server.pulse" });
    this.element = el("section", { class: "card" }, el("h2", {}, "Records under .pulse"), this.problem, this.list.element);
    api.get("/api/dns").then((records) => this.list.show(records), (error) => say(this.problem, worded(error)));
  }
}
