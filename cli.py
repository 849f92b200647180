import typer
app = typer.Typer()
@app.callback()
def main(): pass
@app.command()
def cycle(): print("x")
