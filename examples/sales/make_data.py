"""Writes sales.sql, train.jsonl, dev.jsonl and test.jsonl beside itself: a shop's database, and questions about it with their queries.

    python examples/sales/make_data.py

Filters, joins, groups, sub-queries and orders, in several sentences; people call things by other names than the tables do, mistype, and
tell what is beside the point. No query of dev or test is in train. The same rows on any machine.
"""

import json
import random
import sqlite3
from datetime import date, timedelta
from pathlib import Path

SIZES = {"train": 340, "dev": 120, "test": 120}
TABLES = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, joined DATE NOT NULL);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, price REAL NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), day DATE NOT NULL,
    status TEXT NOT NULL);
CREATE TABLE order_items (order_id INTEGER NOT NULL REFERENCES orders(id), product_id INTEGER NOT NULL REFERENCES products(id),
    quantity INTEGER NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE TABLE reviews (product_id INTEGER NOT NULL REFERENCES products(id), customer_id INTEGER NOT NULL REFERENCES customers(id),
    stars INTEGER NOT NULL, PRIMARY KEY (product_id, customer_id));
""".strip()
NAMES = [
    "Ann Berg", "Omar Haddad", "Mei Lin", "Luca Rossi", "Priya Patel", "Jonas Weber", "Zoe Clark", "Ivan Petrov",
    "Chloe Martin", "Kofi Mensah", "Sara Silva", "Tomas Novak", "Ines Costa", "Raj Mehta", "Nora Falk", "Hugo Blanc",
    "Aiko Sato", "Eva Horn", "Liam Byrne", "Maya Cohen", "Piotr Zielak", "Rosa Vega", "Sven Lund", "Tara Singh",
    "Yusuf Demir", "Bella Conti", "Carlos Ruiz", "Dina Aziz", "Emil Krog", "Freya Moss",
]  # fmt: skip
CITIES = ["Bergen", "Cork", "Graz", "Lyon", "Porto", "Turin"]
PRODUCTS = {
    "kitchen": {"teapot": 24.5, "kettle": 39.0, "mug": 7.9, "bread knife": 18.0, "tray": 12.5, "salad bowl": 21.0},
    "garden": {"watering can": 16.0, "rake": 22.9, "plant pot": 6.5, "hose": 34.0, "bird house": 27.5},
    "office": {"notebook": 4.2, "stapler": 9.9, "desk lamp": 45.0, "pen set": 14.0, "paper tray": 11.0, "chair": 119.0},
    "sport": {"skipping rope": 8.0, "football": 29.9, "yoga mat": 32.0, "water bottle": 13.5, "dumbbell": 25.0},
}
STATUSES = ["shipped", "shipped", "shipped", "open", "cancelled", "returned"]


def database(rng: random.Random) -> str:
    """The tables with their rows, as SQL."""
    start = date(2024, 1, 1)
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in ("customers", "products", "orders", "order_items", "reviews")}
    for number, name in enumerate(NAMES, 1):
        rows["customers"].append((number, name, rng.choice(CITIES), str(start + timedelta(rng.randrange(700)))))
    for category, held in PRODUCTS.items():
        for name, price in held.items():
            rows["products"].append((len(rows["products"]) + 1, name, category, price, rng.choice([0, 0, 3, 8, 15, 40, 75])))
    for number in range(1, 111):
        day = start + timedelta(rng.randrange(366, 730))
        rows["orders"].append((number, rng.randint(1, 26), str(day), rng.choice(STATUSES)))  # the last four never order
        for product in rng.sample(range(1, len(rows["products"]) - 1), rng.randint(1, 4)):  # the last two are never sold
            rows["order_items"].append((number, product, rng.choice([1, 1, 1, 2, 2, 3, 5, 10])))
    for product, customer in sorted({(rng.randint(1, 20), rng.randint(1, 30)) for _ in range(70)}):
        rows["reviews"].append((product, customer, rng.choice([1, 2, 3, 4, 4, 5, 5])))
    lines = [TABLES]
    for name, some in rows.items():
        written = [", ".join(f"'{one}'" if isinstance(one, str) else str(one) for one in row) for row in some]
        values = ",\n".join(f"({row})" for row in written)
        lines.append(f"INSERT INTO {name} VALUES\n{values};")
    return "\n\n".join(lines) + "\n"


SOLD = "order_items JOIN products ON products.id = order_items.product_id"
BOUGHT = f"customers JOIN orders ON orders.customer_id = customers.id JOIN order_items ON order_items.order_id = orders.id JOIN {SOLD[17:]}"
KINDS: dict[str, list[tuple[str, list[str]]]] = {
    "filter": [
        (
            "SELECT name FROM customers WHERE city = '{city}'",
            [
                "Who of our customers lives in {city}?",
                "names of all clients from {city}",
                "I am off to {city} next week. Which customers do we have there?",
            ],
        ),
        (
            "SELECT name, price FROM products WHERE category = '{category}' AND price < {price}",
            [
                "Which {category} articles cost less than {price}? Name and price.",
                "Name and price of everything in {category} under {price}, please",
                "My budget is just below {price}. What is there for the {category}? Give name and price.",
            ],
        ),
        (
            "SELECT name FROM products WHERE stock = 0 AND category = '{category}'",
            [
                "Which {category} products are sold out?",
                "What do we have to reorder in {category} because nothing is left?",
                "{category}: which artcles are out of stock",
            ],
        ),
        (
            "SELECT id FROM orders WHERE status = '{status}' AND day >= '2025-{month:02}-01'",
            [
                "Ids of the orders that are {status}, from {named} 2025 on.",
                "From the first of {named} 2025 until now, which orders (id) are {status}?",
                "which order ids are {status}? only {named} 2025 and later",
            ],
        ),
        (
            "SELECT count(*) FROM customers WHERE joined < '2024-{month:02}-01'",
            [
                "How many customers joined before {named} 2024?",
                "Before the first of {named} 2024, how many clients had signed up?",
                "number of custmers that were with us before {named} 2024",
            ],
        ),
    ],
    "join": [
        (
            "SELECT orders.id FROM orders JOIN customers ON customers.id = orders.customer_id WHERE customers.name = '{name}' AND status "
            "= '{status}'",
            [
                "Which orders of {name} are {status}? Ids.",
                "{name} is on the phone about {status} orders: give me their ids",
                "ids of {name}'s orders that are {status}",
            ],
        ),
        (
            f"SELECT DISTINCT customers.name FROM {BOUGHT} WHERE products.name = '{{product}}'",
            [
                "Who has ordered a {product}? Each name once.",
                "We must recall the {product}. Which customers (each once) ordered it, whatever became of the order?",
                "each buyer of the {product}, once",
            ],
        ),
        (
            f"SELECT DISTINCT products.name FROM {BOUGHT} WHERE customers.city = '{{city}}' AND category = '{{category}}'",
            [
                "Which {category} products did people from {city} order? Each once.",
                "{city} again: what {category} articles were ordered by customers there (no repeats)?",
                "different {category} products in orders from {city}",
            ],
        ),
        (
            "SELECT customers.name, stars FROM reviews JOIN customers ON customers.id = customer_id JOIN products ON products.id = "
            "product_id WHERE products.name = '{product}'",
            [
                "Who reviewed the {product}, and with how many stars?",
                "Reviews of the {product}: customer and stars.",
                "customer name and stars of each reveiw for the {product}",
            ],
        ),
    ],
    "group": [
        (
            "SELECT city, count(*) FROM customers WHERE joined >= '2024-{month:02}-01' GROUP BY city",
            [
                "How many customers who joined since {named} 2024 has each city? City, then number.",
                "Per city, the number of clients that came in {named} 2024 or later.",
                "city and number of customers, only those that joined from {named} 2024 on",
            ],
        ),
        (
            f"SELECT category, sum(quantity) FROM {SOLD} JOIN orders ON orders.id = order_id WHERE status = '{{status}}' "
            "AND day >= '2025-{month:02}-01' GROUP BY category",
            [
                "How many pieces were in {status} orders since {named} 2025, by category? Category, then pieces.",
                "For each category that has any: the pieces in orders of {named} 2025 or later that are {status}.",
                "category and total pieces, counting {status} orders from {named} 2025 on alone",
            ],
        ),
        (
            f"SELECT sum(quantity * price) FROM {SOLD} WHERE category = '{{category}}' AND quantity >= {{few}}",
            [
                "What is the value at list price of all {category} lines with {few} or more pieces?",
                "Take the order lines of {few} pieces or more in {category}. What are they worth together at our prices?",
                "total value ({category} only, lines of at least {few} pieces)",
            ],
        ),
        (
            "SELECT products.name, avg(stars) FROM reviews JOIN products ON products.id = product_id WHERE category = '{category}' AND "
            "price > {price} GROUP BY products.id",
            [
                "Mean stars of each reviewed {category} product above {price}, name first.",
                "How well are our {category} articles that cost more than {price} rated on average? Name and mean.",
                "{category}, dearer than {price}: product and average stars, where there are reviews",
            ],
        ),
    ],
    "having": [
        (
            "SELECT name FROM customers JOIN orders ON orders.customer_id = customers.id GROUP BY customers.id HAVING count(*) >= {many}",
            [
                "Which customers have placed at least {many} orders?",
                "Names of the clients with {many} orders or more.",
                "who ordered {many} times or more often",
            ],
        ),
        (
            f"SELECT products.name FROM {SOLD} WHERE category = '{{category}}' GROUP BY products.id HAVING sum(quantity) > {{pieces}}",
            [
                "Which {category} products were ordered more than {pieces} times in all, counted in pieces?",
                "Of the {category} range, what went out over {pieces} pieces in total?",
                "{category} products with a sum of pieces above {pieces}",
            ],
        ),
        (
            "SELECT city FROM customers JOIN orders ON orders.customer_id = customers.id WHERE status = '{status}' GROUP BY city HAVING "
            "count(*) > {few}",
            [
                "In which cities are more than {few} orders {status}?",
                "Cities whose customers have over {few} orders that are {status}.",
                "where do we have more than {few} {status} orders? cities please",
            ],
        ),
    ],
    "order": [
        (
            "SELECT name, price FROM products WHERE category = '{category}' ORDER BY price DESC, name LIMIT {few}",
            [
                "The {few} dearest {category} products with their prices, dearest first, equal ones by name.",
                "Top {few} of {category} by price (high to low, then name): name and price.",
                "{category}, most expensive first, only {few}: name, price; ties by name",
            ],
        ),
        (
            "SELECT name FROM customers ORDER BY joined DESC, id LIMIT {pieces}",
            [
                "Our {pieces} newest customers, the newest first, ties by id.",
                "Who joined last? {pieces} names, latest first and by id on the same day.",
                "names of the {pieces} most recent sign-ups, newest at the top (then id)",
            ],
        ),
        (
            f"SELECT products.name, sum(quantity) AS pieces FROM {SOLD} WHERE category <> '{{category}}' GROUP BY products.id ORDER BY "
            f"pieces DESC, products.name LIMIT {{few}}",
            [
                "Leaving out {category}, which {few} products sold the most pieces? Name and pieces, most first, ties by name.",
                "The {few} best sellers by pieces that are not {category}: name, pieces, high to low, then by name",
                "best {few} outside of {category} (name, pieces sold, descending; same number: by name)",
            ],
        ),
    ],
    "sub-query": [
        (
            "SELECT name FROM customers WHERE city = '{city}' AND id NOT IN (SELECT customer_id FROM orders WHERE status = '{status}')",
            [
                "Which customers in {city} have no {status} order?",
                "{city}: clients without a single order that is {status}.",
                "names from {city} where nothing is {status}",
            ],
        ),
        (
            "SELECT name FROM products WHERE price > (SELECT avg(price) FROM products WHERE category = '{category}') AND stock > {pieces}",
            [
                "What costs more than the average {category} product and is there more than {pieces} times? Names.",
                "Take the mean price of {category}. Which products of all kinds are above it, with over {pieces} in stock?",
                "products dearer than the {category} average, stock above {pieces}",
            ],
        ),
        (
            "SELECT name FROM products WHERE id NOT IN (SELECT product_id FROM reviews WHERE stars >= {stars}) AND price < {price}",
            [
                "Which products below {price} never got {stars} stars or more?",
                "No review of {stars} stars or better: which products that cost less than {price} is that true of?",
                "products under {price} without any {stars}-star-or-better reviews",
            ],
        ),
    ],
}
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
BESIDE = [
    "", "", "", "For the meeting at nine: ", "Quick one. ", "{other} asked me yesterday. ", "Not about {town} this time. ",
    "Sorry to ask again. ",
]  # fmt: skip


def question(rng: random.Random, skill: str) -> dict[str, str]:
    query, told = rng.choice(KINDS[skill])
    month, category = rng.randint(1, 12), rng.choice(list(PRODUCTS))
    held = {
        "city": rng.choice(CITIES), "category": category, "price": rng.randint(8, 60), "month": month,
        "named": MONTHS[month - 1], "status": rng.choice(sorted(set(STATUSES))), "name": rng.choice(NAMES), "few": rng.randint(2, 5),
        "product": rng.choice([name for some in PRODUCTS.values() for name in some]), "many": rng.randint(3, 7),
        "pieces": rng.randint(5, 25),
        "stars": rng.randint(2, 5),
    }  # fmt: skip
    beside = rng.choice(BESIDE).format(other=rng.choice(NAMES).split()[0], town=rng.choice(CITIES))
    return {"question": beside + rng.choice(told).format(**held), "query": query.format(**held) + ";", "kind": skill}


def main() -> None:
    rng = random.Random("sales")
    place = Path(__file__).parent
    tables = database(rng)
    (place / "sales.sql").write_text(tables, encoding="utf-8")
    held = sqlite3.connect(":memory:")
    held.executescript(tables)
    seen: set[str] = set()
    before: set[str] = set()
    for split, size in SIZES.items():
        rows: list[dict[str, str]] = []
        while len(rows) < size:
            row = question(rng, list(KINDS)[len(rows) % len(KINDS)])
            if row["question"] not in seen and row["query"] not in before and held.execute(row["query"]).fetchone():
                seen.add(row["question"])
                rows.append(row)
        before |= {row["query"] for row in rows}
        rng.shuffle(rows)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (place / f"{split}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
